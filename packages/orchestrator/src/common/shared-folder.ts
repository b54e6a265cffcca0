// SPDX-License-Identifier: Apache-2.0
// Folders of the host that a guest mounts. One form from the API to the core.
import { isAbsolute, normalize, sep } from 'node:path';

export const MAX_SHARES = 4;
/** What the guest mounts a folder by. */
export const TAG_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,35}$/;
/** The longest path in bytes, without the NUL that ends it. */
export const MAX_SHARE_PATH = 4095;

export interface SharedFolder {
  tag: string;
  path: string;
  readOnly: boolean;
}

/** Whether a path names a folder in one of the roots, or a root. Where the path really leads is looked at when it is opened. */
export function isBelow(path: string, roots: readonly string[]): boolean {
  if (!isAbsolute(path) || path.split(sep).includes('..')) return false;
  const plain = normalize(`${path}${sep}`);
  return roots.some((root) => plain.startsWith(normalize(`${root}${sep}`)));
}
