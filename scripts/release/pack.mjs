#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run pack -- --output FOLDER: the tarballs that a release publishes. Addon and worker travel together in one package
// for the platform, so that installing needs no compiler, no download and no install script. With GITHUB_REPOSITORY, which workflows have in
// their environment, each package names the repository it was built from: a statement of provenance needs that.
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
    const folders = [stagePlatform(stage), stageNative(stage), ...['sdk', 'orchestrator', 'cli'].map((name) => stagePackage(stage, name))];
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
  writeManifest(folder, manifest, 'native');
  addLicense(folder);
  copyBuilt(join(top, 'packages', 'native', addon), join(folder, addon));
  copyBuilt(join(top, 'target', 'x86_64-unknown-linux-gnu', 'release', 'flotilla-vmm'), join(folder, 'flotilla-vmm'));
  chmodSync(join(folder, 'flotilla-vmm'), 0o755);
  return folder;
}

/** @flotilla/native as published: it names its platform package, which a workspace does not have. */
function stageNative(stage) {
  const { version } = manifestOf('native');
  return stagePackage(stage, 'native', { optionalDependencies: { [platformPackage]: version } });
}

/** A package of the workspace without what only its development needs. */
function stagePackage(stage, name, more = {}) {
  const folder = join(stage, name);
  cpSync(join(top, 'packages', name), folder, { recursive: true, filter: (path) => !/node_modules|\.node$/.test(path) });
  const { devDependencies: _unused, scripts: _never, ...published } = manifestOf(name);
  writeManifest(folder, { ...published, ...more }, name);
  addLicense(folder);
  return folder;
}

/** Who has the package alone has the licence too: npm packs a file of this name whatever a manifest lists. */
function addLicense(folder) {
  cpSync(join(top, 'LICENSE'), join(folder, 'LICENSE'));
}

function writeManifest(folder, manifest, directory) {
  const { GITHUB_REPOSITORY: slug, GITHUB_SERVER_URL: server = 'https://github.com' } = process.env;
  const repository = slug && { repository: { type: 'git', url: `git+${server}/${slug}.git`, directory: `packages/${directory}` } };
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify({ ...manifest, ...repository }, null, 2)}\n`);
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
