// SPDX-License-Identifier: Apache-2.0
// Files that hold a file system, made on the host.
import { mkdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { run } from './host.js';

/** Makes an ext4 of so many bytes in the file at `path`, with these files in it. */
export function makeExt4(path: string, bytes: number, files: Readonly<Record<string, Buffer>>): void {
  const content = `${path}.content`;
  mkdirSync(content);
  for (const [name, data] of Object.entries(files)) writeFileSync(`${content}/${name}`, data);
  writeFileSync(path, '');
  truncateSync(path, bytes);
  run('mkfs.ext4', ['-q', '-b', '4096', '-d', content, path]);
  rmSync(content, { recursive: true });
}
