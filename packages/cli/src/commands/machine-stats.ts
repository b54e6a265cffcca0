// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type MachineHandle, type MachineStats } from '@flotilla/sdk';
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { type Columns, type Named, print, printList } from '../output/render.js';
import { size } from '../output/table.js';
import { wholeNumber } from '../values.js';

/** Machines asked at a time. */
const AT_ONCE = 16;
const CLEAR = '\u001b[H\u001b[J';

/** What a machine does in a second. */
export interface MachineRates extends Named {
  readonly name: string;
  /** Of one CPU of the host: 200 are two of them. Absent, as the next two, where the host does not say. */
  readonly cpuPercent?: number;
  readonly stolenPercent?: number;
  readonly residentBytes?: number;
  readonly diskReadBytes: number;
  readonly diskWriteBytes: number;
  readonly netReceiveBytes: number;
  readonly netTransmitBytes: number;
  readonly exits: number;
}

type Look = ReadonlyMap<string, { readonly name: string; readonly stats: MachineStats }>;

const columns: Columns<MachineRates> = [
  ['name', ({ name }) => name],
  ['cpu', ({ cpuPercent }) => percent(cpuPercent)],
  ['stolen', ({ stolenPercent }) => percent(stolenPercent)],
  ['memory', ({ residentBytes }) => size(residentBytes)],
  ['read/s', ({ diskReadBytes }) => size(diskReadBytes)],
  ['write/s', ({ diskWriteBytes }) => size(diskWriteBytes)],
  ['rx/s', ({ netReceiveBytes }) => size(netReceiveBytes)],
  ['tx/s', ({ netTransmitBytes }) => size(netTransmitBytes)],
  ['exits/s', ({ exits }) => exits],
];

export function addStatsCommand(machine: Command): void {
  machine
    .command('stats [machine...]')
    .description('show what machines do in a second, until ^C; without names all that run; with -o json a list on each line')
    .option('--once', 'show it once')
    .option('--interval <seconds>', 'how long it is looked at each time', wholeNumber, 1)
    .action(async (names: string[], options: { once?: boolean; interval: number }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const named = await Promise.all(names.map((name) => client.machines.get(name, { signal })));
      const machines = async (): Promise<readonly MachineHandle[]> =>
        named.length > 0
          ? named
          : (await client.machines.list({}, { signal }).all()).filter(({ state }) => state === 'running' || state === 'paused');
      let before = await look(await machines(), named.length === 0, signal);
      for (;;) {
        if (!(await pause(Math.max(1, options.interval) * 1000, signal))) return;
        const now = await look(await machines(), true, signal);
        const rows = rates(before, now);
        if (options.once === true) return printList(rows, columns, output);
        if (output === 'json') print(JSON.stringify(rows));
        else {
          if (output === 'table' && process.stdout.isTTY) process.stdout.write(CLEAR);
          printList(rows, columns, output);
        }
        if (named.length > 0 && now.size === 0) return;
        before = now;
      }
    });
}

/** What each machine has done so far. One that does not run any more is left out, or else an error. */
async function look(machines: readonly MachineHandle[], leaveOut: boolean, signal: AbortSignal): Promise<Look> {
  const found: [string, { name: string; stats: MachineStats }][] = [];
  for (let at = 0; at < machines.length; at += AT_ONCE) {
    await Promise.all(
      machines.slice(at, at + AT_ONCE).map(async (machine) => {
        try {
          found.push([machine.id, { name: machine.name, stats: await machine.stats({ signal }) }]);
        } catch (error) {
          if (!leaveOut || !(error instanceof ApiError)) throw error;
        }
      }),
    );
  }
  return new Map(found.sort(([, one], [, other]) => one.name.localeCompare(other.name)));
}

/** What was done between two looks, for each second. A machine that began anew between them has done nothing yet. */
export function rates(before: Look, now: Look): MachineRates[] {
  return [...now].flatMap(([id, { name, stats }]) => {
    const first = before.get(id)?.stats;
    if (first === undefined) return [];
    const seconds = Math.max(0.001, (Date.parse(stats.takenAt) - Date.parse(first.takenAt)) / 1000);
    const exact = (value: number, old: number): number => Math.max(0, value - old) / seconds;
    const rate = (value: number, old: number): number => Math.round(exact(value, old));
    const share = (value: number | undefined, old: number | undefined): number | undefined =>
      value === undefined || old === undefined ? undefined : Math.round(1000 * exact(value, old)) / 10;
    const [cpuPercent, stolenPercent] = [share(stats.cpuSeconds, first.cpuSeconds), share(stats.stolenSeconds, first.stolenSeconds)];
    return [
      {
        id,
        name,
        ...(cpuPercent === undefined ? {} : { cpuPercent }),
        ...(stolenPercent === undefined ? {} : { stolenPercent }),
        ...(stats.residentBytes === undefined ? {} : { residentBytes: stats.residentBytes }),
        diskReadBytes: rate(stats.diskReadBytes, first.diskReadBytes),
        diskWriteBytes: rate(stats.diskWriteBytes, first.diskWriteBytes),
        netReceiveBytes: rate(stats.netReceiveBytes, first.netReceiveBytes),
        netTransmitBytes: rate(stats.netTransmitBytes, first.netTransmitBytes),
        exits: rate(stats.exits, first.exits),
      },
    ];
  });
}

/** Waits; `false` when ^C ended the wait. */
async function pause(milliseconds: number, signal: AbortSignal): Promise<boolean> {
  return sleep(milliseconds, true, { signal }).catch(() => false);
}

function percent(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value.toFixed(1)} %`;
}
