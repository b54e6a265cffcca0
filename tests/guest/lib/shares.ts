// SPDX-License-Identifier: Apache-2.0
// Folders of the host that guests mount, and what guests must not get at beside them.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { liveProcesses } from './host.js';

/** Two folders to share, one of them read-only, and a file of the host beside them. */
export interface Folders {
  readonly root: string;
  readonly data: string;
  readonly fixed: string;
}

export const secret = 'a secret of the host';

/** For a whole suite, in a directory of their own; links in `data` lead out of it, as a guest may make them too. */
export function useFolders(): Folders {
  const root = mkdtempSync(join(tmpdir(), 'flotilla-shares-'));
  const [data, fixed] = [join(root, 'data'), join(root, 'fixed')];
  mkdirSync(join(data, 'deep'), { recursive: true });
  mkdirSync(fixed);
  writeFileSync(join(root, 'secret'), secret);
  writeFileSync(join(data, 'hello'), 'written by the host\n');
  writeFileSync(join(fixed, 'hello'), 'not to be written\n');
  symlinkSync(join(root, 'secret'), join(data, 'absolute'));
  symlinkSync('../secret', join(data, 'relative'));
  after(() => {
    rmSync(root, { recursive: true, force: true });
  });
  return { root, data, fixed };
}

/** The live processes that serve shared folders. */
export function virtiofsd(): number[] {
  return liveProcesses()
    .filter(({ command }) => /virtiofsd .*--fd=\d+ .*source=\/tmp /.test(command))
    .map(({ pid }) => pid);
}

/** What a guest with both folders at /mnt/data and /mnt/fixed tries, a line each; it prints what the secret is where it finds that. */
export const escapes = [
  'cat /mnt/data/absolute /mnt/data/relative',
  'cat /mnt/data/../secret /mnt/data/deep/../../secret /mnt/data/../../secret',
  'ln -sf ../../../../../../proc/1/root/etc/shadow /mnt/data/made; cat /mnt/data/made',
  'ls -a /mnt/data/..',
];
