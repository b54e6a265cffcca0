// SPDX-License-Identifier: Apache-2.0
// Programs and what they read, copied into one folder. In the lab /tmp is memory while all other files come from the host, and a boot
// must not measure how long the host takes to hand them out.
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync } from 'node:fs';
import { basename, join } from 'node:path';

/** Where Debian's QEMU has its firmware. */
const FIRMWARE = ['/usr/share/seabios', '/usr/share/qemu'];

/** The same command with its program, libraries, firmware and every file it names below `folder`. */
export function staged(argv, folder) {
  const [program, ...args] = argv.map((word) => (existsSync(word) ? copied(word, folder) : word));
  const real = existsSync(program) ? program : copied(pathOf(program), folder);
  const libraries = join(folder, 'lib');
  const loader = copyLibraries(real, libraries);
  const firmware = basename(real).startsWith('qemu-') ? ['-L', copyFirmware(join(folder, 'firmware'))] : [];
  return [loader, '--library-path', libraries, real, ...firmware, ...args];
}

function copied(file, folder) {
  mkdirSync(folder, { recursive: true });
  const copy = join(folder, basename(file));
  copyFileSync(file, copy);
  return copy;
}

/** Copies what the dynamic linker loads for `program`, and says where that linker is. */
function copyLibraries(program, folder) {
  const { stdout } = spawnSync('ldd', [program], { encoding: 'utf8' });
  const files = [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, file]) => copied(file, folder));
  const loader = files.find((file) => basename(file).startsWith('ld-linux'));
  if (loader === undefined) throw new Error(`ldd names no dynamic linker for ${program}: ${stdout}`);
  return loader;
}

function copyFirmware(folder) {
  for (const source of FIRMWARE.filter((source) => existsSync(source))) cpSync(source, folder, { recursive: true, dereference: true });
  return folder;
}

function pathOf(program) {
  return spawnSync('sh', ['-c', 'command -v "$0"', program], { encoding: 'utf8' }).stdout.trim();
}
