// SPDX-License-Identifier: Apache-2.0
// Files that hold a file system, made on the host.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { run } from './host.js';
import { builtImages } from './images.js';

/** Makes an ext4 of so many bytes in the file at `path`, with these files in it. */
export function makeExt4(path: string, bytes: number, files: Readonly<Record<string, Buffer>>): void {
  fill(path, bytes, (content) => {
    for (const [name, data] of Object.entries(files)) writeFileSync(`${content}/${name}`, data);
  });
}

/** The same with all that the small guest's initramfs has, for a kernel that mounts it as its root and writes nothing there. */
export function makeSmallRoot(path: string, bytes: number): void {
  fill(path, bytes, (content) => {
    execFileSync('busybox', ['cpio', '-idm'], { cwd: content, input: readFileSync(builtImages().initramfs.initramfs), stdio: 'pipe' });
    run('chroot', [content, '/bin/busybox', '--install', '-s', '/bin']);
  });
}

/** An ext4 whose blocks are pages, which DAX wants. */
function fill(path: string, bytes: number, put: (content: string) => void): void {
  const content = `${path}.content`;
  mkdirSync(content);
  put(content);
  writeFileSync(path, '');
  truncateSync(path, bytes);
  run('mkfs.ext4', ['-q', '-b', '4096', '-d', content, path]);
  rmSync(content, { recursive: true });
}
