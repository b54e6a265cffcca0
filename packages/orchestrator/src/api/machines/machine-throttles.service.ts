// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { holderOfLimits, limitsOf } from '../../common/throttle.js';
import { type MachineDto, toMachineDto } from './dto/machine.dto.js';
import type { UpdateThrottle } from './dto/throttle.dto.js';
import { LiveChanges } from './live-changes.service.js';
import type { Machine } from './machine.js';

/** What machines may do while they run. */
@Injectable()
export class MachineThrottles {
  constructor(
    private readonly changes: LiveChanges,
    private readonly agent: HostAgent,
  ) {}

  /** Changes all limits of a device or a group at once. */
  async set(idOrName: string, wish: UpdateThrottle, ifMatch: string | undefined): Promise<MachineDto> {
    const { kind, name = '' } = wish;
    const limits = limitsOf(wish.limits);
    const machine = await this.changes.make(idOrName, ifMatch, {
      what: 'its limits',
      keep: (machine) => {
        const holder = holderOfLimits(machine.spec, kind, name);
        if (holder === undefined) throw new NoLimits(machine, wish);
        holder.set(limits);
      },
      carryOut: (command) => this.agent.setThrottle({ ...command, kind, name, limits }),
    });
    return toMachineDto(machine);
  }
}

class NoLimits extends ApiError {
  constructor(machine: Machine, { kind, name }: UpdateThrottle) {
    super('throttle.unknown', {
      detail: `Machine "${machine.name}" has nothing of the kind ${kind}${name === undefined ? '' : ` named "${name}"`} that has limits of its own.`,
      remedy:
        'Name a disk or an interface that is in no group, not memory (pmem) and not on vhost, or a group of spec.throttleGroups; rng has no name.',
      field: 'name',
    });
  }
}
