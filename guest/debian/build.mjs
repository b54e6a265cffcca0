// SPDX-License-Identifier: Apache-2.0
// Debian 12 as a guest: its own cloud kernel and initrd, and a root disk, made by mmdebstrap.

import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cached, contentKey, isCached } from '../../scripts/lib/cache.mjs';
import { Failure } from '../../scripts/lib/failure.mjs';
import { sha256 } from '../lib/hash.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const KIND = 'guest/debian';
const LABEL = 'flotilla-root';
const MEBIBYTE = 1 << 20;
const ADVICE = 'Is the Debian archive reachable? FLOTILLA_DEBIAN_MIRROR names another mirror.';

function key() {
  return contentKey([process.env.FLOTILLA_DEBIAN_MIRROR ?? ''], [HERE]);
}

export function isDebianReady() {
  return isCached(KIND, key());
}

/**
 * @param {import('../../scripts/lib/steps.mjs').Steps} steps
 * @returns {Promise<{ kernel: string, initrd: string, disk: string, manifest: string, commandLine: string }>} paths, and
 *   what the kernel must be told
 */
export async function buildDebian(steps) {
  const directory = await cached(KIND, key(), (partial) => build(steps, partial));
  const manifest = join(directory, 'manifest.json');
  const { commandLine } = JSON.parse(readFileSync(manifest, 'utf8'));
  return {
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd.img'),
    disk: join(directory, 'root.raw'),
    manifest,
    commandLine,
  };
}

async function build(steps, directory) {
  if (process.getuid?.() !== 0) {
    throw new Failure('A root disk is made by root: its files belong to many users', 'Run the same command with sudo.');
  }
  const recipe = JSON.parse(readFileSync(join(HERE, 'recipe.json'), 'utf8'));
  const work = mkdtempSync(join(tmpdir(), 'flotilla-debian-'));
  const root = join(work, 'root');
  try {
    await steps.step('Debian guest: install packages into a new root', (step) => bootstrap(step, recipe, root));
    await steps.step('Debian guest: make kernel, initrd and root disk', async (step) => {
      moveBootFiles(root, directory);
      await makeDisk(step, recipe, root, join(directory, 'root.raw'));
      await writeManifest(step, recipe, directory);
    });
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function bootstrap(step, recipe, root) {
  const excluded = [...recipe.excludedPaths, ...recipe.excludedModules.map((path) => `/lib/modules/*/kernel/${path}/*`)];
  const mirror = process.env.FLOTILLA_DEBIAN_MIRROR;
  await step.run(
    'mmdebstrap',
    [
      '--variant=minbase',
      '--format=directory',
      '--mode=root',
      `--include=${recipe.packages.join(',')}`,
      ...excluded.map((path) => `--dpkgopt=path-exclude=${path}`),
      '--dpkgopt=force-unsafe-io',
      `--essential-hook=sync-in ${join(HERE, 'files')} /`,
      `--customize-hook=${join(HERE, 'customize.sh')} "$1"`,
      recipe.suite,
      root,
      ...(mirror ? [mirror] : []),
    ],
    {
      env: {
        ...process.env,
        LC_ALL: 'C',
        ENABLED_UNITS: recipe.enabledUnits.join(' '),
        MASKED_UNITS: recipe.maskedUnits.join(' '),
        PURGED_PACKAGES: recipe.purgedPackages.join(' '),
      },
      remedy: ADVICE,
    },
  );
}

/** Kernel and initrd live beside the disk, so the disk need not carry them. */
function moveBootFiles(root, directory) {
  const boot = join(root, 'boot');
  for (const [prefix, target] of [
    ['vmlinuz-', 'vmlinuz'],
    ['initrd.img-', 'initrd.img'],
  ]) {
    const name = readdirSync(boot).find((entry) => entry.startsWith(prefix));
    if (name === undefined) throw new Failure(`The new root has no /boot/${prefix}*`, ADVICE);
    copyFileSync(join(boot, name), join(directory, target));
    unlinkSync(join(boot, name));
  }
}

/** Small on purpose: whoever imports it reads it whole. The guest grows it to the size of the disk it finds itself on. */
async function makeDisk(step, recipe, root, disk) {
  const used = Number((await step.run('du', ['-s', '--block-size=1', root])).split('\t')[0]);
  writeFileSync(disk, '');
  truncateSync(disk, Math.ceil((used + recipe.diskSlackBytes) / MEBIBYTE) * MEBIBYTE);
  await step.run(
    '/sbin/mke2fs',
    [
      '-q',
      '-F',
      '-t',
      'ext4',
      '-L',
      LABEL,
      '-m',
      '0',
      '-E',
      'lazy_itable_init=1,lazy_journal_init=1,discard',
      '-J',
      'size=16',
      '-d',
      root,
      disk,
    ],
    { remedy: `Is there room in ${disk}? 400 MB are needed.` },
  );
}

async function writeManifest(step, recipe, directory) {
  const files = {};
  for (const name of ['vmlinuz', 'initrd.img', 'root.raw']) {
    step.say(`SHA-256 of ${name}`);
    files[name] = { sha256: await sha256(join(directory, name)) };
  }
  const manifest = {
    suite: recipe.suite,
    architecture: 'amd64',
    diskFormat: 'raw',
    diskBytes: statSync(join(directory, 'root.raw')).size,
    rootLabel: LABEL,
    commandLine: 'console=ttyS0 root=/dev/vda rw quiet',
    login: 'root, on ttyS0 by itself',
    files,
  };
  writeFileSync(join(directory, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}
