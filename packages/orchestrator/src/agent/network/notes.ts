// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from 'node:fs';
import { readdir, rename, writeFile } from 'node:fs/promises';

const UNFINISHED = '.new';

/** Writes down what is about to be made, whole or not at all: who reads it or a crash in between meets the old note or the new one. */
export async function note(path: string, text: string, mode = 0o666): Promise<void> {
  await writeFile(`${path}${UNFINISHED}`, text, { mode });
  await rename(`${path}${UNFINISHED}`, path);
}

/** Names noted in a directory; a note that a crash cut off is no note. */
export async function noted(directory: string): Promise<string[]> {
  return (await readdir(directory)).filter(isWhole);
}

/** The same for who cannot wait. */
export function notedNow(directory: string): string[] {
  return readdirSync(directory).filter(isWhole);
}

function isWhole(name: string): boolean {
  return !name.endsWith(UNFINISHED);
}
