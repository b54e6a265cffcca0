// SPDX-License-Identifier: Apache-2.0
// Builds the small guest kernel from Debian's linux-source package and keeps it in the cache.

import { copyFileSync, createReadStream, existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawn } from 'node:child_process';
import { cached, contentKey, isCached } from '../../scripts/lib/cache.mjs';
import { Failure } from '../../scripts/lib/failure.mjs';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const FRAGMENT = join(HERE, 'config.fragment');
const SOURCE = '/usr/src/linux-source-6.1.tar.xz';
const KIND = 'guest/kernel';
/** Raise when the way of building changes the result. */
const RECIPE = '1';

/** Same bytes for the same sources, whoever builds, wherever and whenever. */
const REPRODUCIBLE = {
  KBUILD_BUILD_USER: 'flotilla',
  KBUILD_BUILD_HOST: 'flotilla',
  KBUILD_BUILD_VERSION: '1',
  KBUILD_BUILD_TIMESTAMP: 'Thu Jan 1 00:00:00 UTC 1970',
  LC_ALL: 'C',
};

/** The source archive's size stands for its version: reading 140 MB to find nothing changed would take a second. */
function key() {
  const source = existsSync(SOURCE) ? String(statSync(SOURCE).size) : 'absent';
  return contentKey([RECIPE, source], [FRAGMENT]);
}

export function isKernelReady() {
  return isCached(KIND, key());
}

/**
 * @param {import('../../scripts/lib/steps.mjs').Steps} steps
 * @returns {Promise<{ vmlinux: string, bzImage: string, config: string }>} an ELF file with a PVH note, the same kernel
 *   packed with LZ4, and the complete configuration
 */
export async function buildKernel(steps) {
  const directory = await cached(KIND, key(), async (partial) => {
    const work = mkdtempSync(join(process.env.FLOTILLA_BUILD_DIR || tmpdir(), 'flotilla-kernel-'));
    try {
      await steps.step('Small kernel: unpack the source', (step) => unpack(step, work));
      await steps.step('Small kernel: configure', (step) => configure(step, work));
      await steps.step('Small kernel: compile (minutes)', (step) => compile(step, work));
      copyFileSync(join(work, 'vmlinux'), join(partial, 'vmlinux'));
      copyFileSync(join(work, 'arch/x86/boot/bzImage'), join(partial, 'bzImage'));
      copyFileSync(join(work, '.config'), join(partial, 'config'));
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  return { vmlinux: join(directory, 'vmlinux'), bzImage: join(directory, 'bzImage'), config: join(directory, 'config') };
}

async function unpack(step, work) {
  if (!existsSync(SOURCE)) throw new Failure(`${SOURCE} is missing`, 'apt-get install --no-install-recommends linux-source-6.1');
  const total = statSync(SOURCE).size;
  const tar = spawn('tar', ['-xJ', '--strip-components=1', '-C', work], { stdio: ['pipe', 'ignore', 'inherit'] });
  let done = 0;
  const source = createReadStream(SOURCE, { highWaterMark: 1 << 20 });
  source.on('data', (bytes) => {
    done += bytes.length;
    step.note = `${Math.round((100 * done) / total)} %`;
  });
  source.pipe(tar.stdin).on('error', () => undefined);
  const status = await new Promise((resolve, reject) => tar.on('error', reject).on('close', resolve));
  if (status !== 0) throw new Failure(`tar ended with status ${status}`, `Is there room in ${tmpdir()}? 1.5 GB are needed.`);
}

async function configure(step, work) {
  const run = (program, args) => step.run(program, args, { cwd: work, env: { ...process.env, ...REPRODUCIBLE } });
  await run('make', ['-s', 'tinyconfig']);
  await run('scripts/kconfig/merge_config.sh', ['-m', '.config', FRAGMENT]);
  await run('make', ['-s', 'olddefconfig']);
  const result = new Set(readFileSync(join(work, '.config'), 'utf8').split('\n'));
  const refused = readFileSync(FRAGMENT, 'utf8')
    .split('\n')
    .filter((line) => /^(?:CONFIG_|# CONFIG_)/.test(line) && !result.has(line));
  if (refused.length > 0) {
    throw new Failure(`Kconfig did not accept: ${refused.join(', ')}`, 'A dependency is missing in guest/kernel/config.fragment.');
  }
}

async function compile(step, work) {
  await step.run('nice', ['make', `-j${availableParallelism()}`, 'vmlinux', 'bzImage'], {
    cwd: work,
    env: { ...process.env, ...REPRODUCIBLE },
    remedy: 'Needed packages: build-essential flex bison bc libelf-dev lz4 (npm run setup installs them).',
  });
}
