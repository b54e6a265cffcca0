// SPDX-License-Identifier: Apache-2.0
import { readdir, rename, writeFile } from 'node:fs/promises';

/** Writes down what is about to be made, whole or not at all: a crash in between leaves the old note or the new one. */
export async function note(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}

/** Names noted in a directory; a note that a crash cut off is no note. */
export async function noted(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter((name) => !name.endsWith('.new'));
}
