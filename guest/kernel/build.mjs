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
const RECIPE = '3';
/** How the kernel can be packed. The configuration says LZ4, which unpacks fastest; the others are there to be tested. */
const COMPRESSIONS = ['lz4', 'gzip', 'bzip2', 'lzma', 'xz', 'lzo', 'zstd'];

/** Where most of the source is, and nothing that this kernel needs but what Kconfig reads. */
const PASSED_OVER = [
  ...['arm', 'arm64', 'ia64', 'm68k', 'mips', 'parisc', 'powerpc', 'riscv', 's390', 'sh', 'sparc'].map((name) => `arch/${name}`),
  ...['gpu', 'iio', 'infiniband', 'media', 'net/ethernet', 'net/wireless', 'scsi', 'staging', 'usb'].map((name) => `drivers/${name}`),
  'Documentation',
  'sound',
  'tools/testing',
];
const SOURCES = ['[chS]', 'dts', 'dtsi', 'rst', 'txt', 'yaml'];

/** Same bytes for the same sources, whoever builds, wherever and whenever; but lzop notes the time. */
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
 * @returns {Promise<{ vmlinux: string, bzImage: string, bzImages: Record<string, string>, config: string }>} an ELF file with a
 *   PVH note, the same kernel packed with LZ4 and in every way there is, and the complete configuration
 */
export async function buildKernel(steps) {
  const directory = await cached(KIND, key(), async (partial) => {
    const work = mkdtempSync(join(process.env.FLOTILLA_BUILD_DIR || tmpdir(), 'flotilla-kernel-'));
    try {
      await steps.step('Small kernel: unpack the source', (step) => unpack(step, work));
      await steps.step('Small kernel: configure', (step) => configure(step, work));
      await steps.step('Small kernel: compile (minutes)', (step) => compile(step, work, join(partial, 'vmlinux')));
      copyFileSync(join(work, '.config'), join(partial, 'config'));
      await steps.step('Small kernel: pack it in every way there is', async (step) => {
        for (const compression of COMPRESSIONS) await pack(step, work, compression, join(partial, `bzImage.${compression}`));
      });
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
  const bzImages = Object.fromEntries(COMPRESSIONS.map((compression) => [compression, join(directory, `bzImage.${compression}`)]));
  return { vmlinux: join(directory, 'vmlinux'), bzImage: bzImages.lz4, bzImages, config: join(directory, 'config') };
}

async function unpack(step, work) {
  if (!existsSync(SOURCE)) throw new Failure(`${SOURCE} is missing`, 'apt-get install --no-install-recommends linux-source-6.1');
  const total = statSync(SOURCE).size;
  const passedOver = PASSED_OVER.flatMap((folder) => SOURCES.map((ending) => `--exclude=*/${folder}/*.${ending}`));
  const tar = spawn('tar', ['-xJ', '--strip-components=1', ...passedOver, '-C', work], { stdio: ['pipe', 'ignore', 'inherit'] });
  let done = 0;
  const source = createReadStream(SOURCE, { highWaterMark: 1 << 20 });
  source.on('data', (bytes) => {
    done += bytes.length;
    step.note = `${Math.round((100 * done) / total)} %`;
  });
  source.pipe(tar.stdin).on('error', () => undefined);
  const status = await new Promise((resolve, reject) => tar.on('error', reject).on('close', resolve));
  if (status !== 0) throw new Failure(`tar ended with status ${status}`, `Is there room in ${tmpdir()}? 1 GB is needed.`);
}

async function configure(step, work) {
  const run = runner(step, work);
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

/** The symbols, half of the file, go: nothing that starts the kernel reads them. */
async function compile(step, work, target) {
  const run = runner(step, work);
  await run('nice', ['make', `-j${availableParallelism()}`, 'vmlinux']);
  await run('strip', ['--strip-all', '-o', target, 'vmlinux']);
}

/** The kernel itself stays as it is, and make does not look whether it should (-o): only what unpacks it differs. */
async function pack(step, work, compression, target) {
  const run = runner(step, work);
  const others = COMPRESSIONS.filter((other) => other !== compression).flatMap((other) => ['--disable', option(other)]);
  await run('scripts/config', [...others, '--enable', option(compression)]);
  await run('make', ['-s', 'olddefconfig']);
  await run('nice', ['make', `-j${availableParallelism()}`, '-o', 'vmlinux', 'bzImage']);
  copyFileSync(join(work, 'arch/x86/boot/bzImage'), target);
}

function option(compression) {
  return `KERNEL_${compression.toUpperCase()}`;
}

function runner(step, work) {
  const options = {
    cwd: work,
    env: { ...process.env, ...REPRODUCIBLE },
    remedy: 'Needed packages: bc bison build-essential bzip2 flex libelf-dev lz4 lzop xz-utils zstd (npm run setup installs them).',
  };
  return (program, args) => step.run(program, args, options);
}
