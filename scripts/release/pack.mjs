#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run pack -- --output FOLDER: the tarballs that a release publishes. Addon and worker travel together in one package
// for the platform, so that installing needs no compiler, no download and no install script.
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const top = fileURLToPath(new URL('../..', import.meta.url));
export const platformPackage = '@flotilla/native-linux-x64-gnu';
const addon = 'flotilla.linux-x64-gnu.node';

/** Packs everything into `output` and gives the paths of the tarballs, the platform's first. */
export function packAll(output) {
  mkdirSync(output, { recursive: true });
  const stage = mkdtempSync(join(tmpdir(), 'flotilla-pack-'));
  try {
    const folders = [
      stagePlatform(stage),
      stageNative(stage),
      ...['sdk', 'orchestrator', 'cli'].map((name) => join(top, 'packages', name)),
    ];
    return folders.map((folder) => pack(folder, output));
  } finally {
    rmSync(stage, { recursive: true, force: true });
  }
}

/** The compiled parts for Linux on x86-64 with glibc. */
function stagePlatform(stage) {
  const folder = join(stage, 'platform');
  mkdirSync(folder);
  const { version, license, engines } = manifestOf('native');
  const manifest = {
    name: platformPackage,
    version,
    license,
    engines,
    description: 'Addon and worker of @flotilla/native for Linux on x86-64 with glibc.',
    os: ['linux'],
    cpu: ['x64'],
    libc: ['glibc'],
    main: addon,
    files: [addon, 'flotilla-vmm'],
  };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  copyBuilt(join(top, 'packages', 'native', addon), join(folder, addon));
  copyBuilt(join(top, 'target', 'x86_64-unknown-linux-gnu', 'release', 'flotilla-vmm'), join(folder, 'flotilla-vmm'));
  chmodSync(join(folder, 'flotilla-vmm'), 0o755);
  return folder;
}

/** @flotilla/native as published: it names its platform package, which a workspace does not have. */
function stageNative(stage) {
  const folder = join(stage, 'native');
  cpSync(join(top, 'packages', 'native'), folder, { recursive: true, filter: (path) => !/node_modules|\.node$/.test(path) });
  const manifest = manifestOf('native');
  const { devDependencies: _unused, scripts: _never, ...published } = manifest;
  writeFileSync(
    join(folder, 'package.json'),
    `${JSON.stringify({ ...published, optionalDependencies: { [platformPackage]: manifest.version } }, null, 2)}\n`,
  );
  return folder;
}

function manifestOf(name) {
  return JSON.parse(readFileSync(join(top, 'packages', name, 'package.json'), 'utf8'));
}

function copyBuilt(from, to) {
  if (!existsSync(from)) throw new Error(`${from} is missing: run npm run build first`);
  cpSync(from, to);
}

function pack(folder, output) {
  const packed = spawnSync('npm', ['pack', '--json', '--pack-destination', resolve(output)], { cwd: folder, encoding: 'utf8' });
  if (packed.status !== 0) throw new Error(`npm pack in ${folder} failed: ${packed.stderr}`);
  return join(resolve(output), JSON.parse(packed.stdout)[0].filename);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { output: { type: 'string', default: 'packed' } } });
  for (const tarball of packAll(values.output)) console.log(tarball);
}
