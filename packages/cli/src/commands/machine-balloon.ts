// SPDX-License-Identifier: Apache-2.0
import type { Balloon, CreateMachine, ReclaimedMemory } from '@flotilla/sdk';
import { type Command, InvalidArgumentError } from 'commander';
import { contextOf } from '../context.js';
import { type Columns, type Named, printOne } from '../output/render.js';
import { keyValues, mebibytes, oneOf, wholeNumber } from '../values.js';
import { machineColumns } from './machine-columns.js';

const MEBIBYTE = 1024 * 1024;

/** The balloon of a machine on a screen. */
const balloonColumns: Columns<Balloon & Named> = [
  ['machine', ({ name }) => name],
  ['target', ({ targetBytes }) => size(targetBytes)],
  ['given up', ({ actualBytes }) => size(actualBytes)],
  ['free', ({ statistics }) => size(statistics?.freeBytes)],
  ['available', ({ statistics }) => size(statistics?.availableBytes)],
  ['total', ({ statistics }) => size(statistics?.totalBytes)],
  ['caches', ({ statistics }) => size(statistics?.diskCacheBytes)],
  ['told', ({ statistics }) => (statistics === undefined ? undefined : `${Math.round(statistics.ageMilliseconds / 1000)} s ago`)],
];

/** What a guest gave back, on a screen. */
const reclaimColumns: Columns<ReclaimedMemory & Named> = [
  ['machine', ({ name }) => name],
  ['given back', ({ releasedBytes }) => size(releasedBytes)],
  ['all there was', ({ complete }) => (complete ? 'yes' : 'no')],
];

export function addBalloonCommand(machine: Command): void {
  machine
    .command('balloon <machine> [size]')
    .description('show what the guest has given up of its memory; with a size such as 256M or 0, ask it for that much')
    .option('--reclaim', 'take back what nothing in the guest uses now')
    .action(async (name: string, target: string | undefined, { reclaim }: { reclaim?: true }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      if (reclaim === true) {
        if (target !== undefined) throw new InvalidArgumentError('--reclaim takes no size.');
        const found = await client.machines.get(name, { signal });
        printOne({ id: found.id, name: found.name, ...(await found.reclaimMemory({ signal })) }, reclaimColumns, output);
        return;
      }
      if (target !== undefined) {
        printOne((await client.machines.setBalloon(name, toTarget(target), { signal })).data, machineColumns, output);
        return;
      }
      const found = await client.machines.get(name, { signal });
      printOne({ id: found.id, name: found.name, ...(await found.balloon({ signal })) }, balloonColumns, output);
    });
}

/** The balloon that `--balloon` means. */
export function toBalloon(text: true | string): NonNullable<CreateMachine['balloon']> {
  if (text === true) return {};
  const { target, oom, reporting, hinting, statistics } = keyValues(text, ['target', 'oom', 'reporting', 'hinting', 'statistics']);
  return {
    ...(target === undefined ? {} : { targetMiB: toTarget(target) }),
    ...(oom === undefined ? {} : { deflateOnOom: oneOf('oom', oom, ['on', 'off']) === 'on' }),
    ...(reporting === undefined ? {} : { freePageReporting: oneOf('reporting', reporting, ['on', 'off']) === 'on' }),
    ...(hinting === undefined ? {} : { freePageHinting: oneOf('hinting', hinting, ['on', 'off']) === 'on' }),
    ...(statistics === undefined ? {} : { statisticsSeconds: wholeNumber(statistics) }),
  };
}

function toTarget(text: string): number {
  return text === '0' ? 0 : mebibytes(text);
}

function size(bytes: number | undefined): string | undefined {
  return bytes === undefined ? undefined : `${Math.round(bytes / MEBIBYTE)} MiB`;
}
