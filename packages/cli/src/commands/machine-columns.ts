// SPDX-License-Identifier: Apache-2.0
import type { Machine } from '@flotilla/sdk';
import type { Columns } from '../output/render.js';
import { age } from '../output/table.js';

type Address = Machine['observed']['addresses'][number];

/** The address that a guest has taken, or the one that waits for it. */
function addressOf({ address, lease }: Address): string | undefined {
  return lease?.ip ?? (address === undefined ? undefined : `${address} (reserved)`);
}

/** A machine on one line. */
export const machineColumns: Columns<Machine> = [
  ['name', ({ name }) => name],
  ['state', ({ observed }) => observed.state],
  ['cpus', ({ spec }) => spec.cpus],
  ['memory', ({ spec }) => `${spec.memoryMiB} MiB`],
  ['address', ({ observed }) => observed.addresses.map(addressOf).find((text) => text !== undefined)],
  ['age', ({ createdAt }) => age(createdAt)],
  ['reason', ({ observed }) => observed.reason?.code],
];

/** A machine in full. */
export const machineDetails: Columns<Machine> = [
  ['id', ({ id }) => id],
  ...machineColumns,
  ['desired', ({ desired }) => desired.state],
  ['kernel', ({ spec }) => spec.boot.kernel],
  ['command line', ({ spec }) => spec.boot.commandLine],
  ['disks', ({ observed }) => observed.disks.map(({ name, volume }) => `${name} (${volume})`).join(', ')],
  [
    'interfaces',
    ({ observed }) => observed.addresses.map((one) => `${one.interface} ${one.mac} ${addressOf(one) ?? ''}`.trim()).join(', '),
  ],
  ['isolation', ({ spec }) => spec.isolation],
  ['restarts', ({ observed }) => observed.restarts],
  [
    'labels',
    ({ labels }) =>
      Object.entries(labels)
        .map(([key, value]) => `${key}=${value}`)
        .join(', '),
  ],
  ['notes', ({ notes }) => notes],
  ['protected', (machine) => (machine.protected ? 'yes' : '')],
  ['detail', ({ observed }) => observed.reason?.detail],
  ['remedy', ({ observed }) => observed.reason?.remedy],
];
