// SPDX-License-Identifier: Apache-2.0
// Debian's cloud kernel, unpacked without being installed: image and modules.

import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from '../../scripts/lib/failure.mjs';

const META_PACKAGE = 'linux-image-cloud-amd64';

/** Name and version of the kernel package that Debian's metapackage stands for now. */
export async function currentKernelPackage(step) {
  const remedy = 'Run "apt-get update" as root; the package index must know Debian 12 (bookworm, main).';
  const depends = await step.run('apt-cache', ['depends', META_PACKAGE], { remedy });
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (name === undefined) throw new Failure(`apt knows no ${META_PACKAGE}`, remedy);
  return name;
}

/**
 * Downloads and unpacks the kernel package below `directory`.
 * @returns {Promise<{ release: string, image: string, modules: string }>} absolute paths
 */
export async function unpackKernel(step, directory) {
  const name = await currentKernelPackage(step);
  const downloads = join(directory, 'download');
  mkdirSync(downloads, { recursive: true });
  const remedy = 'Check the network, or a proxy in /etc/apt/apt.conf.d.';
  await step.run('apt-get', ['download', '-o', 'APT::Sandbox::User=root', name], { cwd: downloads, remedy });
  const archive = readdirSync(downloads).find((file) => file.endsWith('.deb'));
  if (archive === undefined) throw new Failure(`apt-get download ${name} left no file`, remedy);
  const root = join(directory, 'kernel');
  await step.run('dpkg-deb', ['-x', join(downloads, archive), root]);
  const [release] = readdirSync(join(root, 'lib/modules'));
  await step.run('/sbin/depmod', ['-b', root, release]);
  return { release, image: join(root, 'boot', `vmlinuz-${release}`), modules: join(root, 'lib/modules', release) };
}

/** Module files that must be loaded for `names`, dependencies first, as paths below `modules`. */
export function moduleClosure(modules, names) {
  const dependencies = new Map();
  for (const line of readFileSync(join(modules, 'modules.dep'), 'utf8').split('\n')) {
    const [file, needs] = line.split(':');
    if (needs !== undefined) dependencies.set(moduleName(file), { file, needs: needs.trim().split(' ').filter(Boolean) });
  }
  const builtin = new Set(readFileSync(join(modules, 'modules.builtin'), 'utf8').split('\n').map(moduleName));
  const order = new Set();
  for (const name of names) {
    const entry = dependencies.get(moduleName(name));
    if (entry === undefined) {
      if (builtin.has(moduleName(name))) continue;
      throw new Failure(`The kernel has no module ${name}`, 'Compare lab/modules.json with the kernel package.');
    }
    // modules.dep lists the nearest dependency first.
    for (const file of [...entry.needs].reverse()) order.add(file);
    order.add(entry.file);
  }
  return [...order];
}

function moduleName(path) {
  return path
    .replace(/^.*\//, '')
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_');
}

const DECOMPRESSORS = [
  { magic: '02214c18', command: ['lz4', '-dc'], package: 'lz4' },
  { magic: 'fd377a585a00', command: ['xz', '-dc', '--single-stream'], package: 'xz-utils' },
  { magic: '28b52ffd', command: ['zstd', '-dc'], package: 'zstd' },
  { magic: '1f8b', command: ['gzip', '-dc'], package: 'gzip' },
];

/**
 * Takes the ELF kernel out of a bzImage, so that the emulator need not emulate its decompression.
 * Offsets: Documentation/x86/boot.rst of Linux (setup_sects, payload_offset, payload_length).
 */
export async function extractElf(step, bzImage, target) {
  const image = readFileSync(bzImage);
  if (image.toString('latin1', 0x202, 0x206) !== 'HdrS') throw new Failure(`${bzImage} is no bzImage`);
  const start = ((image[0x1f1] || 4) + 1) * 512 + image.readUInt32LE(0x248);
  // The last four bytes of the payload are the unpacked size.
  const payload = image.subarray(start, start + image.readUInt32LE(0x24c) - 4);
  const found = DECOMPRESSORS.find(({ magic }) => payload.toString('hex', 0, magic.length / 2) === magic);
  if (found === undefined) throw new Failure(`${bzImage}: compression not known`);
  const packed = `${target}.packed`;
  writeFileSync(packed, payload);
  const [program, ...args] = found.command;
  await step.run('/bin/sh', ['-c', '"$0" "$@" > "$TARGET" && rm "$PACKED"', program, ...args, packed], {
    env: { ...process.env, TARGET: target, PACKED: packed },
    remedy: `Install the Debian package ${found.package}.`,
  });
  if (!existsSync(target) || readFileSync(target).toString('latin1', 1, 4) !== 'ELF') {
    throw new Failure(`${bzImage} holds no ELF kernel`);
  }
}
