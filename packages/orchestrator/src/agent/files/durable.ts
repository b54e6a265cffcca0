// SPDX-License-Identifier: Apache-2.0
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Ending of files that are not complete; the garbage collector removes them. */
export const PARTIAL_SUFFIX = '.partial';

/** Makes a written file and its name durable. */
export async function commitFile(temporary: string, target: string): Promise<void> {
  const handle = await open(temporary, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, target);
  await syncDirectory(dirname(target));
}

/** Makes names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
