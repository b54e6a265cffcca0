// SPDX-License-Identifier: Apache-2.0
import type { DefinePool, NfsOptions, NfsPool, Pool, UpdatePool } from '@flotilla/sdk';
import { Argument, type Command, InvalidArgumentError, Option } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { type Columns, printList, printOne, say } from '../output/render.js';
import { size } from '../output/table.js';
import { wholeNumber } from '../values.js';
import { type LvmOptions, lvmPlace, lvmText, thinText } from './pool-lvm.js';
import { exportText, type NfsExport, nfsExport, nfsOptions } from './pool-nfs.js';

const columns: Columns<Pool> = [
  ['name', ({ name }) => name],
  ['kind', ({ kind }) => kind],
  ['state', ({ state }) => state],
  ['capacity', ({ capacityBytes }) => size(capacityBytes)],
  ['allocated', ({ allocatedBytes }) => size(allocatedBytes)],
  ['available', ({ availableBytes }) => size(availableBytes)],
  ['promised', ({ promisedBytes }) => size(promisedBytes)],
  ['volumes', ({ volumes }) => String(volumes)],
  ['autostart', ({ autostart }) => (autostart ? 'on' : 'off')],
  ['reason', ({ reason }) => reason?.detail ?? ''],
];

/** What a person wants to know of one, beside what the list has. */
const details: Columns<Pool> = [
  ['id', ({ id }) => id],
  ...columns,
  ['path', ({ dir }) => dir?.path ?? ''],
  ['export', ({ nfs }) => (nfs === undefined ? '' : exportText(nfs))],
  ['volumes in', lvmText],
  ['thin pool', thinText],
  ['guard', ({ guardPercent, guarded }) => `${guardPercent} %${guarded ? ' (reached)' : ''}`],
  ['over-commit', ({ overcommitRatio }) => (overcommitRatio === undefined ? 'any' : String(overcommitRatio))],
  ['can', ({ capabilities }) => capabilities.join(', ')],
];

interface PolicyOptions {
  readonly guard?: number;
  readonly overcommit?: number | 'any';
}
interface DefineOptions extends LvmOptions {
  readonly path?: string;
  readonly export?: NfsExport;
  readonly nfsVersion?: NfsPool['version'];
  readonly nfsOptions?: NfsOptions;
  readonly autostart: boolean;
  readonly guard?: number;
  readonly overcommit?: number | 'any';
  readonly start: boolean;
}

export function addPoolCommands(program: Command): void {
  const pool = program.command('pool').description('storage pools: where volumes are');
  pool
    .command('list')
    .description('list the pools')
    .action(async (_options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printList(await client.pools.list({}, { signal }).all(), columns, output);
    });
  pool
    .command('show <pool>')
    .description('show a pool')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.pools.get(name, { signal }), details, output);
    });
  addDefineCommand(pool);
  addVerbs(pool);
  addStopCommand(pool);
  addChangeCommands(pool);
  pool
    .command('delete <pool>')
    .description('delete a pool that holds no volumes')
    .option('--force', 'also when the host cannot reach it: what of it is there stays there')
    .action(async (name: string, { force }: { readonly force?: true }, command: Command) => {
      const { client, signal } = contextOf(command);
      await client.pools.delete(name, { signal, ...(force === undefined ? {} : { force }) });
      say(`Pool ${name} is deleted.`);
    });
}

function addDefineCommand(pool: Command): void {
  pool
    .command('define <name>')
    .description('make a pool and start it')
    .addOption(new Option('--kind <kind>', 'what it is made of').choices(['dir', 'nfs', 'lvm-thin', 'lvm']).default('dir'))
    .option('--path <directory>', 'kind dir: an empty directory of the host, or one to be made')
    .option('--export <server:path>', 'kind nfs: an empty directory that a server exports', nfsExport)
    .addOption(new Option('--nfs-version <version>', 'kind nfs: version of the protocol (default: 4.2)').choices(['4.1', '4.2']))
    .option(
      '--nfs-options <options>',
      'kind nfs: hard or soft, timeo=, retrans=, nconnect=, with commas between (default: hard)',
      nfsOptions,
    )
    .option('--group <name>', 'kinds lvm-thin and lvm: a volume group that there is')
    .option('--thin-pool <name>', 'kind lvm-thin: a thin pool in it')
    .option('--no-autostart', 'leave it stopped after a restart of the host')
    .option('--guard <percent>', 'percent of its capacity to keep free (default: 5)', wholeNumber)
    .option('--overcommit <ratio>', 'how many times its capacity volumes may have together (default: any)', ratio)
    .option('--no-start', 'leave it stopped')
    .action(async (name: string, options: DefineOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.pools.define(toDefinition(name, options), { signal, onProgress: showProgress() }), details, output);
    });
}

const verbs = {
  start: 'start a pool',
  refresh: 'look at a pool anew: whether it is there, and how full it is',
} as const;

function addVerbs(pool: Command): void {
  for (const [verb, description] of Object.entries(verbs) as [keyof typeof verbs, string][]) {
    pool
      .command(`${verb} <pool>`)
      .description(description)
      .action(async (name: string, _options: unknown, command: Command) => {
        const { client, output, signal } = contextOf(command);
        printOne(await client.pools[verb](name, { signal }), columns, output);
      });
  }
}

function addStopCommand(pool: Command): void {
  pool
    .command('stop <pool>')
    .description('stop a pool that no machine uses')
    .option('--force', 'also when its server does not answer: what was not yet written there is lost')
    .action(async (name: string, { force }: { readonly force?: true }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.pools.stop(name, { signal, ...(force === undefined ? {} : { force }) }), columns, output);
    });
}

function addChangeCommands(pool: Command): void {
  pool
    .command('autostart <pool>')
    .description('whether a pool is started after a restart of the host')
    .addArgument(new Argument('<state>', 'on or off').choices(['on', 'off']))
    .action(async (name: string, state: string, _options: unknown, command: Command) => {
      await change(name, { autostart: state === 'on' }, command);
    });
  pool
    .command('set <pool>')
    .description('change the guard or the over-commit ratio of a pool')
    .option('--guard <percent>', 'percent of its capacity to keep free', wholeNumber)
    .option('--overcommit <ratio|any>', 'how many times its capacity volumes may have together', ratio)
    .action(async (name: string, options: PolicyOptions, command: Command) => {
      await change(name, toPolicy(options), command);
    });
}

async function change(name: string, policy: UpdatePool, command: Command): Promise<void> {
  const { client, output, signal } = contextOf(command);
  printOne(await client.pools.update(name, policy, { signal }), details, output);
}

/** The request that the options mean. */
function toDefinition(name: string, options: DefineOptions): DefinePool {
  const { kind, path, export: place, nfsVersion: version, nfsOptions: mount, autostart, guard, overcommit, start } = options;
  return {
    name,
    kind,
    ...(path === undefined ? {} : { dir: { path } }),
    ...(place === undefined
      ? {}
      : { nfs: { ...place, ...(version === undefined ? {} : { version }), ...(mount === undefined ? {} : { options: mount }) } }),
    ...lvmPlace(options),
    ...(autostart ? {} : { autostart }),
    ...(guard === undefined ? {} : { guardPercent: guard }),
    ...(typeof overcommit === 'number' ? { overcommitRatio: overcommit } : {}),
    ...(start ? {} : { start }),
  };
}

function toPolicy({ guard, overcommit }: PolicyOptions): UpdatePool {
  return {
    ...(guard === undefined ? {} : { guardPercent: guard }),
    ...(overcommit === undefined ? {} : { overcommitRatio: overcommit === 'any' ? null : overcommit }),
  };
}

/** `1.5`, or `any`. */
function ratio(text: string): number | 'any' {
  if (text === 'any') return text;
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0) throw new InvalidArgumentError('Give a number such as 1.5, or any.');
  return value;
}
