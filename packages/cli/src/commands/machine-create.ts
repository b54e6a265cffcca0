// SPDX-License-Identifier: Apache-2.0
import type { CreateMachine } from '@flotilla/sdk';
import { type Command, Option } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { print, printOne } from '../output/render.js';
import { collect, collectLabel, keyValues, mebibytes, oneOf, wholeNumber } from '../values.js';
import { addHardwareOptions, type HardwareOptions, toHardware } from './machine-hardware.js';
import { machineColumns } from './machine-columns.js';

interface CreateOptions extends HardwareOptions {
  readonly kernel: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly cpus: number;
  readonly memory: number;
  readonly disk?: readonly string[];
  readonly network?: readonly string[];
  readonly vsock?: true | string;
  readonly label?: Record<string, string>;
  readonly profile?: CreateMachine['profile'];
  readonly acpi?: boolean;
  readonly isolation?: CreateMachine['isolation'];
  readonly restart?: 'never' | 'on-failure' | 'always';
  readonly start: boolean;
  readonly wait: boolean;
}

export function addMachineCreateCommand(machine: Command): void {
  addHardwareOptions(machine.command('create <name>'))
    .description('create a machine and start it')
    .requiredOption('--kernel <image>', 'kernel image')
    .option('--initrd <image>', 'initrd image')
    .option('--cmdline <text>', 'kernel command line')
    .option('--cpus <n>', 'virtual CPUs, 1 to 64', wholeNumber, 1)
    .option('--memory <size>', 'memory, for example 512M or 2G', mebibytes, 512)
    .option(
      '--disk <image=I|volume=V|size=S,...>',
      'disk: image=, volume=, size=, name=, serial=, readonly, queues=, cache=, engine=, blocksize=, on-no-space= (may be repeated)',
      collect,
    )
    .option(
      '--network <name[,queues=N,backend=B,mtu=N,link=down,spoof=off]>',
      'network for one more interface; "none" for no interface; backend tap or vhost (may be repeated)',
      collect,
    )
    .option('--vsock [cid=N,connections=N]', 'sockets between guest and host')
    .option('--label <key=value>', 'label (may be repeated)', collectLabel)
    .addOption(
      new Option('--profile <kind>', 'standard: a PC with PCI and ACPI; micro: virtio on MMIO, the fastest start').choices([
        'standard',
        'micro',
      ]),
    )
    .option('--acpi', 'give a micro machine ACPI tables and a power button')
    .addOption(new Option('--isolation <mode>', 'where the machine lives').choices(['process', 'in-process']))
    .addOption(new Option('--restart <mode>', 'when to start it again by itself').choices(['never', 'on-failure', 'always']))
    .option('--no-start', 'leave it stopped')
    .option('--no-wait', 'return as soon as the change is accepted')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const pending = client.machines.create(toParams(name, options), { signal, onProgress: showProgress() });
      if (options.wait) printOne((await pending).data, machineColumns, output);
      else print((await pending.accepted()).id);
    });
}

/** The request that the options mean. */
export function toParams(name: string, options: CreateOptions): CreateMachine {
  const { kernel, initrd, cmdline, cpus, memory, vsock, label, profile, acpi, isolation, restart, start } = options;
  return {
    name,
    cpus,
    memoryMiB: memory,
    ...toHardware(options),
    boot: { kernel, ...(initrd === undefined ? {} : { initrd }), ...(cmdline === undefined ? {} : { commandLine: cmdline }) },
    disks: (options.disk ?? []).map(toDisk),
    interfaces: (options.network ?? ['default']).filter((network) => network !== 'none').map(toInterface),
    start,
    ...(vsock === undefined ? {} : { vsock: toVsock(vsock) }),
    ...(label === undefined ? {} : { labels: label }),
    ...(profile === undefined ? {} : { profile }),
    ...(acpi === undefined ? {} : { acpi }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(restart === undefined ? {} : { restartPolicy: { mode: restart } }),
  };
}

function toVsock(text: true | string): NonNullable<CreateMachine['vsock']> {
  if (text === true) return {};
  const { cid, connections } = keyValues(text, ['cid', 'connections']);
  return {
    ...(cid === undefined ? {} : { cid: wholeNumber(cid) }),
    ...(connections === undefined ? {} : { maxConnections: wholeNumber(connections) }),
  };
}

function toInterface(text: string, index: number): NonNullable<CreateMachine['interfaces']>[number] {
  const [network = '', ...rest] = text.split(',');
  const values = rest.length === 0 ? {} : keyValues(rest.join(','), ['queues', 'backend', 'mtu', 'link', 'spoof']);
  const { backend, queues, mtu, link, spoof } = values;
  return {
    name: `eth${index}`,
    network,
    ...(backend === undefined ? {} : { backend: oneOf('backend', backend, ['tap', 'vhost']) }),
    ...(queues === undefined ? {} : { queues: wholeNumber(queues) }),
    ...(mtu === undefined ? {} : { mtu: wholeNumber(mtu) }),
    ...(link === undefined ? {} : { link: oneOf('link', link, ['up', 'down']) }),
    ...(spoof === undefined ? {} : { allowSpoofedMac: oneOf('spoof', spoof, ['on', 'off']) === 'on' }),
  };
}

function toDisk(text: string, index: number): NonNullable<CreateMachine['disks']>[number] {
  const values = keyValues(text, [
    'image',
    'volume',
    'size',
    'name',
    'serial',
    'readonly',
    'queues',
    'cache',
    'engine',
    'blocksize',
    'on-no-space',
  ]);
  const given = Object.fromEntries(
    ['image', 'volume', 'serial'].filter((key) => values[key] !== undefined).map((key) => [key, values[key]]),
  );
  return {
    name: values['name'] ?? (index === 0 ? 'root' : `disk${index}`),
    ...given,
    ...(values['size'] === undefined ? {} : { sizeMiB: mebibytes(values['size']) }),
    ...(values['readonly'] === undefined ? {} : { readOnly: oneOf('readonly', values['readonly'], ['true', 'false']) === 'true' }),
    ...(values['queues'] === undefined ? {} : { queues: wholeNumber(values['queues']) }),
    ...(values['cache'] === undefined ? {} : { cache: oneOf('cache', values['cache'], ['none', 'writeback', 'writethrough']) }),
    ...(values['engine'] === undefined ? {} : { engine: oneOf('engine', values['engine'], ['auto', 'io-uring', 'direct']) }),
    ...(values['on-no-space'] === undefined ? {} : { onNoSpace: oneOf('on-no-space', values['on-no-space'], ['report', 'pause']) }),
    ...(values['blocksize'] === undefined
      ? {}
      : { blockSize: oneOf('blocksize', values['blocksize'], ['512', '4096']) === '512' ? 512 : 4096 }),
  };
}
