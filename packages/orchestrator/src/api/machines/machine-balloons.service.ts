// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import type { BalloonDto, ReclaimedMemory } from './dto/balloon.dto.js';
import { type MachineDto, toMachineDto } from './dto/machine.dto.js';
import { isLive, LiveChanges } from './live-changes.service.js';
import { checkTarget } from './machine-balloon.js';
import { NoBalloon, NoHinting } from './machine.errors.js';
import { MachineRepository } from './machine.repository.js';

/** The balloons of machines. */
@Injectable()
export class MachineBalloons {
  constructor(
    private readonly repository: MachineRepository,
    private readonly changes: LiveChanges,
    private readonly agent: HostAgent,
  ) {}

  /** Sets what the guest shall give up: a guest that is there, and every start that comes. */
  async set(idOrName: string, targetMiB: number, ifMatch: string | undefined): Promise<MachineDto> {
    const machine = await this.changes.make(idOrName, ifMatch, {
      what: 'its balloon',
      keep: (machine) => {
        if (machine.spec.balloon === undefined) throw new NoBalloon(machine);
        checkTarget(machine.spec.memoryMiB, targetMiB, 'targetMiB');
        machine.spec.balloon.targetMiB = targetMiB;
      },
      carryOut: (command) => this.agent.setBalloon({ ...command, targetMiB }),
    });
    return toMachineDto(machine);
  }

  /** What the guest has given up, and how it says it is off. One that runs is asked, and waited for a second at most. */
  async read(idOrName: string): Promise<BalloonDto> {
    const machine = await this.repository.load(idOrName);
    if (machine.spec.balloon === undefined) throw new NoBalloon(machine);
    if (!isLive(machine)) {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${machine.observed.state}; only a guest that is there has a balloon.`,
        remedy: 'Start the machine.',
      });
    }
    return this.agent.machineBalloon({ id: machine.id });
  }

  /** Asks a guest that runs for all that it does not use, and gives that back to the host; it is waited for 4 seconds at most. */
  async reclaim(idOrName: string): Promise<ReclaimedMemory> {
    const machine = await this.repository.load(idOrName);
    if (machine.spec.balloon === undefined) throw new NoBalloon(machine);
    if (machine.spec.balloon.freePageHinting !== true) throw new NoHinting(machine);
    if (machine.observed.state !== 'running') {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${machine.observed.state}; only a guest that runs can answer.`,
        remedy: 'Start the machine, or resume it.',
      });
    }
    return this.agent.reclaimMemory({ id: machine.id });
  }
}
