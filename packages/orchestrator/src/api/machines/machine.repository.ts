// SPDX-License-Identifier: Apache-2.0
import type { LabelledPage } from '../../common/paging.js';
import type { Executor } from '../../database/database.js';
import type { Machine, MachineState } from './machine.js';
import { MachineNotFound } from './machine.errors.js';

/** Where machines are kept. */
export abstract class MachineRepository {
  /** Stores a new machine and which images it boots from. */
  abstract insert(machine: Machine, imageIds: string[], db: Executor): Promise<void>;
  abstract save(machine: Machine, db: Executor): Promise<void>;
  abstract remove(id: string, db: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<Machine | undefined>;
  abstract page(request: LabelledPage): Promise<Machine[]>;
  abstract ids(): Promise<string[]>;
  /** Machines that were last seen in one of these states. */
  abstract inStates(states: readonly MachineState[]): Promise<{ id: string; state: MachineState }[]>;
  /** What was last seen of these machines; those that are gone are left out. */
  abstract observed(ids: readonly string[]): Promise<Pick<Machine, 'id' | 'name' | 'observed'>[]>;
  /** Machines that should run or are seen doing something: those the reconciler looks at. */
  abstract active(): Promise<Machine[]>;
  /**
   * MiB of memory of all machines but this one that have a guest, are to get one, or are started again by their restart policy.
   * One that has ended for good has none, though it was last asked to run.
   */
  abstract memoryHeld(except: string, db: Executor): Promise<number>;
  abstract countByState(): Promise<Record<string, number>>;

  /** The same as `find`; fails with `machine.not_found`. */
  async load(idOrName: string, db?: Executor): Promise<Machine> {
    const machine = await this.find(idOrName, db);
    if (machine === undefined) throw new MachineNotFound(idOrName);
    return machine;
  }
}
