// SPDX-License-Identifier: Apache-2.0

/** Consoles that one API key may read on one machine at once: with one writer, a machine has 32 places for readers. */
export const READERS_OF_A_KEY = 8;
/** Consoles that one API key may read at once in all. */
const READERS_OF_A_KEY_IN_ALL = 256;

/** Who reads consoles: one key cannot take the places of all the others. */
export class ConsolePlaces {
  private readonly taken = new Map<string, number>();

  /** Takes a place; the answer gives it back. Undefined when the key has as many as it may. */
  take(key: string, machine: string): (() => void) | undefined {
    const ofMachine = `${key} ${machine}`;
    if (this.count(ofMachine) >= READERS_OF_A_KEY || this.count(key) >= READERS_OF_A_KEY_IN_ALL) return undefined;
    this.add(key, 1);
    this.add(ofMachine, 1);
    return () => {
      this.add(key, -1);
      this.add(ofMachine, -1);
    };
  }

  private count(what: string): number {
    return this.taken.get(what) ?? 0;
  }

  private add(what: string, more: 1 | -1): void {
    const count = this.count(what) + more;
    if (count === 0) this.taken.delete(what);
    else this.taken.set(what, count);
  }
}
