// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { LinkState } from '../../common/interface-traffic.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { type MachineDto, toMachineDto } from './dto/machine.dto.js';
import { isLive, LiveChanges } from './live-changes.service.js';
import { InterfaceNotFound } from './machine.errors.js';
import { MachineRepository } from './machine.repository.js';

/** The cables of machines. */
@Injectable()
export class MachineLinks {
  constructor(
    private readonly repository: MachineRepository,
    private readonly changes: LiveChanges,
    private readonly agent: HostAgent,
  ) {}

  /** Plugs a cable in or pulls it out, for a guest that is there and every start that comes. */
  async set(idOrName: string, name: string, link: LinkState, ifMatch: string | undefined): Promise<MachineDto> {
    const machine = await this.changes.make(idOrName, ifMatch, {
      what: 'its cables',
      keep: (machine) => {
        const found = machine.spec.interfaces.find((one) => one.name === name);
        if (found === undefined) throw new InterfaceNotFound(machine, name);
        found.link = link;
      },
      carryOut: (command) => this.agent.setLink({ ...command, name, link }),
    });
    return toMachineDto(machine);
  }

  /** Asks a guest that is there to tell the network of an interface where it is. */
  async announce(idOrName: string, name: string): Promise<void> {
    const machine = await this.repository.load(idOrName);
    if (!machine.spec.interfaces.some((one) => one.name === name)) throw new InterfaceNotFound(machine, name);
    if (!isLive(machine)) {
      throw new ApiError('machine.state_conflict', {
        detail: `Machine "${machine.name}" is ${machine.observed.state}; only a guest that is there can announce itself.`,
        remedy: 'Start the machine.',
      });
    }
    await this.agent.announce({ id: machine.id, name });
  }
}
