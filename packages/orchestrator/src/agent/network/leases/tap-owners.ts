// SPDX-License-Identifier: Apache-2.0
import { basename } from 'node:path';
import { readTapNote } from './tap-note.js';

/**
 * Whose a tap is. The name of a tap follows from its machine, so what was read once stays true: looking for the taps of one
 * machine among those of a thousand reads no thousand files.
 */
export class TapOwners {
  private readonly known = new Map<string, string>();

  /** The machine that the note at `path` names; undefined when there is no note. */
  async of(path: string): Promise<string | undefined> {
    const name = basename(path);
    const known = this.known.get(name) ?? (await readTapNote(path))?.machine;
    if (known !== undefined) this.known.set(name, known);
    return known;
  }

  forget(name: string): void {
    this.known.delete(name);
  }
}
