// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../common/api-error.js';

/** Refuses commands that are older than one already carried out for the same machine. */
export class Generations {
  private readonly seen = new Map<string, number>();

  check(command: { id: string; generation: number }): void {
    const last = this.seen.get(command.id) ?? 0;
    if (command.generation < last) {
      throw new ApiError('machine.state_conflict', {
        detail: `A command of generation ${command.generation} came after one of generation ${last}.`,
        remedy: 'Nothing: a newer wish has replaced this one.',
      });
    }
    this.seen.set(command.id, command.generation);
  }

  forget(id: string): void {
    this.seen.delete(id);
  }
}
