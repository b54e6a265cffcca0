// SPDX-License-Identifier: Apache-2.0
import type { CreateMachine } from '@flotilla/sdk';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { collect, mebibytes } from '../values.js';

type Cpu = NonNullable<CreateMachine['cpu']>;
type Memory = NonNullable<CreateMachine['memoryOptions']>;
type Node = NonNullable<CreateMachine['numa']>[number];

export interface HardwareOptions {
  readonly cpuTopology?: Cpu['topology'];
  readonly cpuModel?: Pick<Cpu, 'model' | 'enable' | 'disable'>;
  readonly nested?: boolean;
  readonly pinVcpus?: number[][];
  readonly pinIo?: number[];
  readonly memoryBacking?: Memory['backing'];
  readonly thp?: Memory['transparentHugepages'];
  readonly prefault?: boolean;
  readonly lockMemory?: boolean;
  readonly mergeable?: boolean;
  readonly numa?: readonly string[];
}

/** What CPUs and memory are like beyond their number and size. */
export function addHardwareOptions(command: Command): Command {
  return command
    .option('--cpu-topology <sockets=N,cores=N,threads=N>', 'arrangement of the CPUs; the product is their number', topology)
    .option(
      '--cpu-model <model[,+feature][,-feature]>',
      'host, x86-64-v2 or x86-64-v3, with features by their names in /proc/cpuinfo',
      model,
    )
    .option('--nested', 'let the guest run virtual machines of its own')
    .option('--pin-vcpus <list/list...>', 'CPUs of the host for each virtual CPU, for example 0/1/2-3', (text: string) =>
      text.split('/').map((list) => numbers(list, ',')),
    )
    .option('--pin-io <list>', 'CPUs of the host for the threads of devices, for example 0,2-3', (text: string) => numbers(text, ','))
    .addOption(
      new Option('--memory-backing <kind>', 'what stands behind the memory').choices(['anonymous', 'memfd', 'hugetlb-2M', 'hugetlb-1G']),
    )
    .addOption(new Option('--thp <when>', 'transparent huge pages').choices(['default', 'always', 'never']))
    .option('--prefault', 'commit all memory before the guest starts')
    .option('--lock-memory', 'keep what is committed from being swapped')
    .option('--mergeable', 'let the host merge equal pages of machines; they can then spy on each other')
    .option(
      '--numa <cpus=LIST,memory=SIZE,...>',
      'NUMA node: cpus=, memory=, host=, distances=; lists such as 0-1:4 (may be repeated)',
      collect,
    );
}

/** The fields of the request that the options mean. */
export function toHardware(options: HardwareOptions): Pick<CreateMachine, 'cpu' | 'memoryOptions' | 'numa'> {
  const pin = filled({ vcpus: options.pinVcpus, io: options.pinIo });
  const cpu = filled({ topology: options.cpuTopology, ...options.cpuModel, nested: options.nested, pin });
  const memoryOptions = filled({
    backing: options.memoryBacking,
    transparentHugepages: options.thp,
    prefault: options.prefault,
    lock: options.lockMemory,
    mergeable: options.mergeable,
  });
  const numa = options.numa?.map(toNode);
  return { ...(cpu && { cpu }), ...(memoryOptions && { memoryOptions }), ...(numa && { numa }) };
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** What was given, or nothing. */
function filled<T extends object>(values: T): Given<T> | undefined {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : (Object.fromEntries(given) as Given<T>);
}

function topology(text: string): NonNullable<Cpu['topology']> {
  const parts = text.split(',').map((part) => /^(sockets|cores|threads)=(\d{1,4})$/.exec(part));
  if (parts.includes(null)) throw new InvalidArgumentError('Give for example cores=2,threads=2.');
  return Object.fromEntries(parts.map((part) => [part?.[1], Number(part?.[2])]));
}

function model(text: string): Pick<Cpu, 'model' | 'enable' | 'disable'> {
  const [name = '', ...masks] = text.split(',');
  const models = ['host', 'x86-64-v2', 'x86-64-v3'] as const;
  const found = models.find((one) => one === name);
  if (found === undefined) throw new InvalidArgumentError(`Give one of ${models.join(', ')}.`);
  if (masks.some((mask) => !/^[+-]./.test(mask))) throw new InvalidArgumentError('A feature begins with + or -.');
  const named = (sign: string): string[] => masks.filter((mask) => mask.startsWith(sign)).map((mask) => mask.slice(1));
  const [enable, disable] = [named('+'), named('-')];
  return { model: found, ...(enable.length > 0 && { enable }), ...(disable.length > 0 && { disable }) };
}

/** `0,2-3` as numbers; empty text has none. */
function numbers(text: string, separator: string): number[] {
  if (text === '') return [];
  return text.split(separator).flatMap((part) => {
    const [, first = '', last = first] = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part) ?? [];
    if (first === '' || Number(last) < Number(first)) throw new InvalidArgumentError(`"${part}" is neither a number nor a range.`);
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index);
  });
}

function toNode(text: string): Node {
  const pairs = new Map(text.split(',').map((part) => [part.slice(0, part.indexOf('=')), part.slice(part.indexOf('=') + 1)]));
  const unknown = [...pairs.keys()].find((key) => !['cpus', 'memory', 'host', 'distances'].includes(key));
  const memory = pairs.get('memory');
  if (unknown !== undefined || memory === undefined)
    throw new InvalidArgumentError('A node is cpus=LIST,memory=SIZE[,host=LIST][,distances=N:N...].');
  const list = (key: string): number[] => numbers(pairs.get(key) ?? '', ':');
  const [hostNodes, distances] = [list('host'), list('distances')];
  return {
    cpus: list('cpus'),
    memoryMiB: mebibytes(memory),
    ...(hostNodes.length > 0 && { hostNodes }),
    ...(distances.length > 0 && { distances }),
  };
}
