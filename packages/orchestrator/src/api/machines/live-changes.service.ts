// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { KeyedQueue } from '../../common/async.js';
import { Database, type WriteTransaction } from '../../database/database.js';
import type { MachineCommand } from '../../host-agent/host-agent.js';
import { OperationRepository } from '../operations/operation.repository.js';
import type { Machine, MachineState } from './machine.js';
import { MachineBusy } from './machine.errors.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';
import { checkGeneration } from './machines.service.js';
import { UnseenMachines } from './unseen-machines.js';

/** States with a guest that can be told, and those without one. */
export const LIVE: readonly MachineState[] = ['running', 'paused'];
const STILL: readonly MachineState[] = ['stopped', 'failed'];

/** Whether there is a guest that runs or is paused. */
export function isLive({ observed }: Machine): boolean {
  return LIVE.includes(observed.state);
}

/** A change of a machine that a guest need not be started again for. */
export interface LiveChange {
  /** What is changed, as the subject of a sentence: "its cables". */
  what: string;
  /** Changes the specification, or throws. */
  keep(machine: Machine): void;
  /** Tells the host of a machine that lives. */
  carryOut(command: MachineCommand): Promise<void>;
}

/** Settings that change while a machine runs. */
@Injectable()
export class LiveChanges {
  private readonly queue = new KeyedQueue();

  constructor(
    private readonly repository: MachineRepository,
    private readonly operations: OperationRepository,
    private readonly unseen: UnseenMachines,
    private readonly database: Database,
  ) {}

  /**
   * Keeps the wish for every start that comes, then carries it out on a guest that is there. A failure after it was kept
   * reaches the client, whose repeat does the rest.
   */
  async make(idOrName: string, ifMatch: string | undefined, change: LiveChange): Promise<Machine> {
    const { id } = await this.repository.load(idOrName);
    // One after another: the guest has in the end what was kept last.
    return this.queue.run(id, async () => {
      const machine = await this.database.write((tx) => this.keep(tx, { id, ifMatch, change }));
      if (isLive(machine)) await this.carryOut(machine, change);
      return machine;
    });
  }

  /** A guest that has ended meanwhile needs nothing; one that got a newer wish, to pause say, is told under that. */
  private async carryOut(machine: Machine, change: LiveChange): Promise<void> {
    const { id, desired } = machine;
    try {
      await change.carryOut({ id, generation: desired.generation });
    } catch (error) {
      if (error instanceof ApiError && error.code === 'worker.gone') return;
      const now = await this.repository.find(id);
      if (now?.desired.generation === desired.generation) throw error;
      if (now !== undefined && [...LIVE, 'pausing'].includes(now.observed.state)) await this.carryOut(now, change);
    }
  }

  private async keep(
    tx: WriteTransaction,
    { id, ifMatch, change }: { id: string; ifMatch: string | undefined; change: LiveChange },
  ): Promise<Machine> {
    // By its id: meanwhile the name may be that of another machine.
    const machine = await this.repository.load(id, tx.db);
    checkGeneration(machine, ifMatch);
    // An operation may have handed the host the old wish already.
    const open = await this.operations.openFor(machine.id, tx.db);
    if (open !== undefined) throw new MachineBusy(machine, open);
    change.keep(machine);
    const { state } = this.unseen.shown(machine).observed;
    if (![...LIVE, ...STILL].includes(state)) {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${state}; ${change.what} cannot be changed now.`,
        remedy: 'Wait until it runs or is stopped.',
      });
    }
    machine.generation += 1;
    machine.updatedAt = new Date().toISOString();
    await this.repository.save(machine, tx.db);
    tx.emit({ kind: 'machine.updated', target: targetOf(machine), data: { generation: machine.generation } });
    return machine;
  }
}
