// SPDX-License-Identifier: Apache-2.0
// The lab's kernel and initramfs, built once and kept in the cache until one of their inputs changes.

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheDirectory, cached, contentKey, isCached } from '../../scripts/lib/cache.mjs';
import { Archive } from '../../scripts/lib/cpio.mjs';
import { Steps } from '../../scripts/lib/steps.mjs';
import { extractElf, moduleClosure, unpackKernel } from './kernel.mjs';

const LAB = fileURLToPath(new URL('..', import.meta.url));
const INPUTS = ['init', 'modules.json', 'lib/image.mjs', 'lib/kernel.mjs'].map((name) => join(LAB, name));
const KIND = 'lab/image';
const TARGET = 'x86_64-unknown-linux-gnu';

/**
 * @typedef {{ kernel: string, initramfs: string, modules: string, init: string }} LabImage
 * `modules` is the directory of the kernel's modules on the host; `init` is the first process, which also runs on the host.
 */

/** Whether the next start needs no build. */
export function isLabImageReady() {
  return isCached(KIND, contentKey([], INPUTS));
}

/**
 * Builds the image unless the cache has it.
 * @param {Steps} [steps] where to show progress
 * @returns {Promise<LabImage>}
 */
export async function prepareLabImage(steps = new Steps('lab')) {
  const directory = await cached(KIND, contentKey([], INPUTS), (partial) => build(steps, partial));
  const release = readFileSync(join(directory, 'release'), 'utf8');
  return {
    kernel: join(directory, 'vmlinux'),
    initramfs: join(directory, 'initramfs.cpio'),
    modules: join(directory, 'modules', release),
    init: join(directory, 'init'),
  };
}

async function build(steps, directory) {
  const init = await steps.step('Lab: build its first process', compileInit);
  await steps.step('Lab: fetch Debian’s cloud kernel and make the initramfs', async (step) => {
    const kernel = await unpackKernel(step, directory);
    await extractElf(step, kernel.image, join(directory, 'vmlinux'));
    writeFileSync(join(directory, 'initramfs.cpio'), initramfs(init, kernel.modules));
    writeFileSync(join(directory, 'init'), init, { mode: 0o755 });
    mkdirSync(join(directory, 'modules'));
    renameSync(kernel.modules, join(directory, 'modules', kernel.release));
    writeFileSync(join(directory, 'release'), kernel.release);
    for (const leftover of ['kernel', 'download']) rmSync(join(directory, leftover), { recursive: true, force: true });
  });
}

/** Static, because it runs where there are no libraries yet. */
async function compileInit(step) {
  const target = join(cacheDirectory(), 'lab', 'target');
  await step.run('cargo', ['build', '--release', '--locked', '--target', TARGET], {
    cwd: join(LAB, 'init'),
    env: { ...process.env, RUSTFLAGS: '-C target-feature=+crt-static', CARGO_TARGET_DIR: target },
    remedy: 'Rust is needed (https://rustup.rs), and the C library of Debian: apt-get install libc6-dev gcc.',
  });
  return readFileSync(join(target, TARGET, 'release', 'flotilla-lab-init'));
}

function initramfs(init, modules) {
  const archive = new Archive();
  for (const directory of ['proc', 'sys', 'dev', 'modules']) archive.directory(directory);
  archive.character('dev/console', 5, 1).file('init', init, 0o755);
  const stages = JSON.parse(readFileSync(join(LAB, 'modules.json'), 'utf8'));
  const done = new Set();
  for (const [stage, names] of Object.entries(stages)) {
    const files = moduleClosure(modules, names).filter((file) => !done.has(file));
    for (const file of files) {
      done.add(file);
      archive.file(`modules/${basename(file)}`, readFileSync(join(modules, file)));
    }
    archive.file(`modules/${stage}`, files.map((file) => `${basename(file)}\n`).join(''));
  }
  return archive.finish();
}
