// SPDX-License-Identifier: Apache-2.0
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Ending of files that are not complete; the garbage collector removes them. */
export const PARTIAL_SUFFIX = '.partial';

/** Has a file made under a temporary name, and gives it its own when it is whole and durable; otherwise nothing stays. */
export async function makeWhole(target: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${target}${PARTIAL_SUFFIX}`;
  try {
    await make(temporary);
    await commitFile(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

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
