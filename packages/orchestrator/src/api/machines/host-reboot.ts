// SPDX-License-Identifier: Apache-2.0
import type { Machine } from './machine.js';

/**
 * A restart of the host that is not settled yet: which machines may have ended with it and were not looked at since. It is settled,
 * which is stored, only when none is left, so a process that is killed before leaves it to the next.
 */
export class HostReboot {
  private open: Set<string> | undefined;

  constructor(private readonly settled: () => Promise<void>) {}

  /** The first look begins: these are the machines. */
  begin(machines: readonly Machine[]): void {
    this.open ??= new Set(machines.map(({ id }) => id));
  }

  mayHaveEnded(id: string): boolean {
    return this.open?.has(id) === true;
  }

  /** What is stored of a machine is true again. */
  lookedAt(id: string): void {
    this.open?.delete(id);
  }

  /** Answers whether all is settled; machines that are no longer there cannot have ended with the host. */
  async settle(machines: readonly Machine[]): Promise<boolean> {
    if (machines.some(({ id }) => this.mayHaveEnded(id))) return false;
    await this.settled();
    return true;
  }
}
