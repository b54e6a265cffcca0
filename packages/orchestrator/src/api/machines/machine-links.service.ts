// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { KeyedQueue } from '../../common/async.js';
import type { LinkState } from '../../common/interface-traffic.js';
import { Database, type WriteTransaction } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { OperationRepository } from '../operations/operation.repository.js';
import { type MachineDto, toMachineDto } from './dto/machine.dto.js';
import type { Machine, MachineState } from './machine.js';
import { InterfaceNotFound, MachineBusy } from './machine.errors.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';
import { checkGeneration } from './machines.service.js';
import { UnseenMachines } from './unseen-machines.js';

/** States with a guest whose cable can be pulled, and those without one. */
const LIVE: readonly MachineState[] = ['running', 'paused'];
const STILL: readonly MachineState[] = ['stopped', 'failed'];

interface LinkWish {
  idOrName: string;
  name: string;
  link: LinkState;
  ifMatch: string | undefined;
}

/** The cables of machines. */
@Injectable()
export class MachineLinks {
  private readonly queue = new KeyedQueue();

  constructor(
    private readonly repository: MachineRepository,
    private readonly operations: OperationRepository,
    private readonly unseen: UnseenMachines,
    private readonly database: Database,
    private readonly agent: HostAgent,
  ) {}

  /**
   * Keeps the wish for every start that comes, then carries it out on a guest that is there. A failure after it was kept
   * reaches the client, whose repeat does the rest.
   */
  async set(idOrName: string, name: string, link: LinkState, ifMatch: string | undefined): Promise<MachineDto> {
    const { id } = await this.repository.load(idOrName);
    // One after another: the guest has in the end what was kept last.
    return this.queue.run(id, async () => {
      const machine = await this.database.write((tx) => this.keep(tx, { idOrName, name, link, ifMatch }));
      if (LIVE.includes(machine.observed.state)) await this.carryOut(machine, name, link);
      return toMachineDto(machine);
    });
  }

  /** A guest that has ended meanwhile needs nothing; one that got a newer wish, to pause say, is told under that. */
  private async carryOut(machine: Machine, name: string, link: LinkState): Promise<void> {
    const { id, desired } = machine;
    try {
      await this.agent.setLink({ id, generation: desired.generation, name, link });
    } catch (error) {
      if (error instanceof ApiError && error.code === 'worker.gone') return;
      const now = await this.repository.find(id);
      if (now?.desired.generation === desired.generation) throw error;
      if (now !== undefined && [...LIVE, 'pausing'].includes(now.observed.state)) await this.carryOut(now, name, link);
    }
  }

  private async keep(tx: WriteTransaction, wish: LinkWish): Promise<Machine> {
    const machine = await this.repository.load(wish.idOrName, tx.db);
    checkGeneration(machine, wish.ifMatch);
    // An operation may have handed the host the old wish already.
    const open = await this.operations.openFor(machine.id, tx.db);
    if (open !== undefined) throw new MachineBusy(machine, open);
    const found = machine.spec.interfaces.find((one) => one.name === wish.name);
    if (found === undefined) throw new InterfaceNotFound(machine, wish.name);
    const { state } = this.unseen.shown(machine).observed;
    if (![...LIVE, ...STILL].includes(state)) {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${state}; its cables cannot be changed now.`,
        remedy: 'Wait until it runs or is stopped.',
      });
    }
    found.link = wish.link;
    machine.generation += 1;
    machine.updatedAt = new Date().toISOString();
    await this.repository.save(machine, tx.db);
    tx.emit({ kind: 'machine.updated', target: targetOf(machine), data: { generation: machine.generation } });
    return machine;
  }
}
