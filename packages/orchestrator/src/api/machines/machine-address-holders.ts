// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Executor } from '../../database/database.js';
import { type AddressHolder, AddressHolders } from '../networks/address-holders.js';
import type { Observed } from './machine.js';
import { MachineRepository } from './machine.repository.js';
import { UnseenMachines } from './unseen-machines.js';

/** Machines as their networks see them. */
@Injectable()
export class MachineAddressHolders extends AddressHolders {
  constructor(
    private readonly machines: MachineRepository,
    private readonly unseen: UnseenMachines,
  ) {
    super();
  }

  override async idOf(idOrName: string, db: Executor): Promise<string | undefined> {
    return (await this.machines.find(idOrName, db))?.id;
  }

  override async find(machineIds: readonly string[]): Promise<ReadonlyMap<string, AddressHolder>> {
    const machines = await this.machines.observed(machineIds);
    return new Map(
      machines.map((machine) => [machine.id, { name: machine.name, heldUntil: heldUntil(this.unseen.shown(machine).observed) }]),
    );
  }
}

function heldUntil({ addresses }: Observed): Map<string, string> {
  return new Map(
    addresses.flatMap((address) => (address.lease === undefined ? [] : [[address.interface, address.lease.expiresAt] as const])),
  );
}
