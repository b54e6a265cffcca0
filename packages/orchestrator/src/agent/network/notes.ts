// SPDX-License-Identifier: Apache-2.0
import { readdirSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';

const UNFINISHED = '.new';

/** Writes down what is about to be made, whole or not at all: who reads it or a crash in between meets the old note or the new one. */
export async function note(path: string, text: string, mode = 0o666): Promise<void> {
  await writeFile(`${path}${UNFINISHED}`, text, { mode });
  await rename(`${path}${UNFINISHED}`, path);
}

/** The same when it says something else than what is there; answers whether it did. */
export async function noteChange(path: string, text: string, mode?: number): Promise<boolean> {
  if ((await readFile(path, 'utf8').catch(() => undefined)) === text) return false;
  await note(path, text, mode);
  return true;
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
