// SPDX-License-Identifier: Apache-2.0
import type { NewEvent } from '../../common/event.js';
import type { HostLease } from '../../host-agent/host-agent.js';
import type { AddressLease, Machine, MachineAddress } from './machine.js';

type LeaseEvent = Extract<NewEvent, { kind: 'network.lease' }>;

/** A change of the leases of one machine: its addresses as they are now, and what there is to tell. */
export interface LeaseChange {
  addresses: MachineAddress[];
  events: LeaseEvent[];
}

/** Compares what is stored with the leases of the host; undefined when nothing differs. A machine that is gone from the host has none. */
export function leaseChange(machine: Machine, leases: readonly HostLease[]): LeaseChange | undefined {
  const events: LeaseEvent[] = [];
  const addresses = machine.observed.addresses.map((address) => {
    const network = networkOf(machine, address);
    const found = leases.find(
      (lease) => lease.machineId === machine.id && lease.networkId === network && lease.mac === address.mac.toLowerCase(),
    );
    const { lease: before, ...rest } = address;
    if (before?.ip === found?.ip && before?.expiresAt === found?.expiresAt) return address;
    const told = found ?? before;
    if (told !== undefined)
      events.push(leaseEvent(machine, address, told, found === undefined ? 'ended' : before === undefined ? 'taken' : 'renewed'));
    return found === undefined
      ? rest
      : {
          ...rest,
          lease: { ip: found.ip, expiresAt: found.expiresAt, ...(found.hostname === undefined ? {} : { hostname: found.hostname }) },
        };
  });
  return events.length === 0 ? undefined : { addresses, events };
}

function leaseEvent(machine: Machine, address: MachineAddress, lease: AddressLease, state: LeaseEvent['data']['state']): LeaseEvent {
  const { ip, expiresAt, hostname } = lease;
  return {
    kind: 'network.lease',
    target: { kind: 'network', id: networkOf(machine, address) },
    data: {
      state,
      machine: machine.id,
      machineName: machine.name,
      interface: address.interface,
      mac: address.mac,
      ip,
      expiresAt,
      ...(hostname === undefined ? {} : { hostname }),
    },
  };
}

function networkOf(machine: Machine, address: MachineAddress): string {
  return machine.spec.interfaces.find((link) => link.name === address.interface)?.network ?? '';
}
