// SPDX-License-Identifier: Apache-2.0
/** Ids that a collection leaves alone; asked at the very moment of each removal. */
export interface Keep {
  has(id: string): boolean;
}

/**
 * Which resources commands have touched since when. A collection may only remove what was there before the list of owned ids
 * was read; otherwise it would take away a machine that was made in between, also while the collection itself runs.
 */
export class Touched {
  private epoch = 1;
  private readonly last = new Map<string, number>();

  touch(id: string): void {
    this.last.set(id, this.epoch);
  }

  /** Begins a collection. */
  advance(): number {
    for (const [id, at] of this.last) if (at < this.epoch) this.last.delete(id);
    this.epoch += 1;
    return this.epoch;
  }

  /** Whether a number was given out by this process; that of an agent that was restarted meanwhile was not. */
  knows(epoch: number): boolean {
    return epoch > 1 && epoch <= this.epoch;
  }

  /** The owned ids and all that were touched since the collection began. */
  keeping(owned: readonly string[], epoch: number): Keep {
    const ids = new Set(owned);
    return { has: (id) => ids.has(id) || (this.last.get(id) ?? 0) >= epoch };
  }
}
