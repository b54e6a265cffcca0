// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { Config } from '../../config/config.js';
import type { Executor } from '../../database/database.js';
import { HostsService } from '../hosts/hosts.service.js';
import type { Machine } from './machine.js';
import { MachineRepository } from './machine.repository.js';

/** The memory that machines may have together: that of the host, unless its owner allows more. */
@Injectable()
export class MachineMemory {
  constructor(
    private readonly repository: MachineRepository,
    private readonly hosts: HostsService,
    private readonly config: Config,
  ) {}

  /** Whether machines may have more memory than the host. */
  get overcommit(): boolean {
    return this.config.memoryOvercommit === 'allow';
  }

  /** Has the host say what it has, which it does once: before a transaction, in which all writers would wait for the host. */
  async prepare(): Promise<void> {
    if (!this.overcommit) await this.hosts.memoryMiB();
  }

  /**
   * Looks whether there is room for a machine that is to run. Within the transaction that stores the wish: writers come one after
   * the other, so two machines never take the same room.
   */
  async requireRoom(machine: Pick<Machine, 'id' | 'spec'>, db: Executor): Promise<void> {
    if (this.overcommit) return;
    const [host, taken] = [await this.hosts.memoryMiB(), await this.repository.memoryHeld(machine.id, db)];
    const { memoryMiB } = machine.spec;
    if (taken + memoryMiB <= host) return;
    throw new ApiError('host.memory_overcommitted', {
      detail: `The machine asks for ${memoryMiB} MiB; of the ${host} MiB of the host other machines have ${taken} MiB.`,
      remedy: 'Stop another machine, give this one less memory, or allow more than the host has: FLOTILLA_MEMORY_OVERCOMMIT=allow.',
      field: 'memoryMiB',
    });
  }
}
