// SPDX-License-Identifier: Apache-2.0
import type { CreateMachine } from '@flotilla/sdk';
import { type Command, Option } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { print, printOne } from '../output/render.js';
import { toInterface } from './interface-options.js';
import { collect, collectLabel, keyValues, mebibytes, oneOf, wholeNumber } from '../values.js';
import { addHardwareOptions, type HardwareOptions, toHardware } from './machine-hardware.js';
import { throttleKeys, toRngThrottle, toThrottle, toThrottleGroup } from './throttle-options.js';
import { toCloudInit } from './cloud-init-options.js';
import { toBalloon } from './machine-balloon.js';
import { machineColumns } from './machine-columns.js';

interface CreateOptions extends HardwareOptions {
  readonly kernel: string;
  readonly initrd?: string;
  readonly cmdline?: string;
  readonly cpus: number;
  readonly memory: number;
  readonly disk?: readonly string[];
  readonly network?: readonly string[];
  readonly share?: readonly string[];
  readonly vsock?: true | string;
  readonly console?: boolean;
  readonly port?: readonly string[];
  readonly rngThrottle?: string;
  readonly throttle?: readonly string[];
  readonly balloon?: true | string;
  readonly watchdog?: true | string;
  readonly userData?: string;
  readonly networkConfig?: string;
  readonly sshKey?: readonly string[];
  readonly label?: Record<string, string>;
  readonly notes?: string;
  readonly protect?: true;
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
      'disk: image=, clone=, pool=, volume=, size=, name=, serial=, readonly, attach=, queues=, cache=, engine=, blocksize=, on-no-space=, bps=, bps-burst=, iops=, iops-burst=, throttle= (may be repeated)',
      collect,
    )
    .option(
      '--network <name|user|macvtap=LINK[,forward=P:[A:]N:N,queues=N,backend=B,mtu=N,link=down,spoof=off]>',
      'network for one more interface; "none" for no interface; "user" for user-mode networking, into which forward=tcp:8080:80 leads a port of the host; "macvtap=LINK" for a link of the host, with mode=bridge, vepa or private; backend tap or vhost; rx-bps=, rx-pps=, rx-throttle=, tx-... limit it (may be repeated)',
      collect,
    )
    .option(
      '--share <tag=TAG,path=FOLDER[,readonly=true]>',
      'a folder of the host, which the guest mounts by its tag (may be repeated)',
      collect,
    )
    .option('--vsock [cid=N,connections=N]', 'sockets between guest and host')
    .option('--console', 'a virtio console: hvc0 in Linux, whose size follows the terminal of `machine console --port hvc0`')
    .option('--port <name>', 'a byte stream of the virtio console, /dev/virtio-ports/NAME in Linux (may be repeated)', collect)
    .option('--rng-throttle <bps=N,ops=N|throttle=G>', 'limits of the random number generator')
    .option('--throttle <name=G,bps=N,ops=N>', 'limits that the devices with throttle=G share (may be repeated)', collect)
    .option('--balloon [target=SIZE,oom=off,reporting=on,hinting=on,statistics=N]', 'memory that the guest is asked to give up')
    .option('--watchdog [action=reset|poweroff|pause|report]', 'a watchdog, and what follows when the guest does not reset it in time')
    .option('--user-data <file>', 'what cloud-init in the guest does at its first start: a #cloud-config, or a script')
    .option('--network-config <file>', 'network configuration for cloud-init')
    .option('--ssh-key <file>', 'public keys that cloud-init lets in, as id_ed25519.pub or authorized_keys (may be repeated)', collect)
    .option('--label <key=value>', 'label (may be repeated)', collectLabel)
    .option('--notes <text>', 'anything worth knowing about it')
    .option('--protect', 'refuse to delete it')
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
  const { kernel, initrd, cmdline, cpus, memory, vsock, balloon, watchdog, label, profile, acpi, isolation, restart, start } = options;
  return {
    name,
    cpus,
    memoryMiB: memory,
    ...toHardware(options),
    boot: { kernel, ...(initrd === undefined ? {} : { initrd }), ...(cmdline === undefined ? {} : { commandLine: cmdline }) },
    disks: (options.disk ?? []).map((disk, index) => toDisk(disk, index === 0 ? 'root' : `disk${index}`)),
    interfaces: (options.network ?? ['default']).filter((network) => network !== 'none').map(toInterface),
    start,
    ...(options.share === undefined ? {} : { shares: options.share.map(toShare) }),
    ...(vsock === undefined ? {} : { vsock: toVsock(vsock) }),
    ...toConsole(options),
    ...(balloon === undefined ? {} : { balloon: toBalloon(balloon) }),
    ...(watchdog === undefined ? {} : { watchdog: toWatchdog(watchdog) }),
    ...toCloudInit(options),
    ...(label === undefined ? {} : { labels: label }),
    ...(options.notes === undefined ? {} : { notes: options.notes }),
    ...(options.protect === undefined ? {} : { protected: options.protect }),
    ...(profile === undefined ? {} : { profile }),
    ...(acpi === undefined ? {} : { acpi }),
    ...(options.rngThrottle === undefined ? {} : { rngThrottle: toRngThrottle(options.rngThrottle) }),
    ...(options.throttle === undefined ? {} : { throttleGroups: options.throttle.map(toThrottleGroup) }),
    ...(isolation === undefined ? {} : { isolation }),
    ...(restart === undefined ? {} : { restartPolicy: { mode: restart } }),
  };
}

function toWatchdog(text: true | string): NonNullable<CreateMachine['watchdog']> {
  if (text === true) return {};
  const { action = '' } = keyValues(text, ['action']);
  return { action: oneOf('action', action, ['reset', 'poweroff', 'pause', 'report']) };
}

function toShare(text: string): NonNullable<CreateMachine['shares']>[number] {
  const { tag = '', path = '', readonly } = keyValues(text, ['tag', 'path', 'readonly']);
  return { tag, path, ...(readonly === undefined ? {} : { readOnly: oneOf('readonly', readonly, ['true', 'false']) === 'true' }) };
}

/** Ports need a console, and one may be without ports. */
function toConsole({ console, port = [] }: CreateOptions): Pick<CreateMachine, 'console'> {
  if (console !== true && port.length === 0) return {};
  return { console: port.length === 0 ? {} : { ports: port.map((name) => ({ name })) } };
}

function toVsock(text: true | string): NonNullable<CreateMachine['vsock']> {
  if (text === true) return {};
  const { cid, connections } = keyValues(text, ['cid', 'connections']);
  return {
    ...(cid === undefined ? {} : { cid: wholeNumber(cid) }),
    ...(connections === undefined ? {} : { maxConnections: wholeNumber(connections) }),
  };
}

/** `volume=data,readonly=true`; `name`: what it is called unless the text says so. */
export function toDisk(text: string, name: string): NonNullable<CreateMachine['disks']>[number] {
  const values = keyValues(text, [
    'image',
    'clone',
    'pool',
    'volume',
    'size',
    'name',
    'serial',
    'readonly',
    'attach',
    'queues',
    'cache',
    'engine',
    'blocksize',
    'on-no-space',
    ...throttleKeys('', 'iops'),
  ]);
  const throttle = toThrottle(values, '', 'iops');
  const given = Object.fromEntries(
    ['image', 'pool', 'volume', 'serial'].filter((key) => values[key] !== undefined).map((key) => [key, values[key]]),
  );
  return {
    name: values['name'] ?? name,
    ...given,
    ...(values['clone'] === undefined ? {} : { clone: oneOf('clone', values['clone'], ['full', 'linked', 'shared']) }),
    ...(values['size'] === undefined ? {} : { sizeMiB: mebibytes(values['size']) }),
    ...(values['readonly'] === undefined ? {} : { readOnly: oneOf('readonly', values['readonly'], ['true', 'false']) === 'true' }),
    ...(values['attach'] === undefined ? {} : { attach: oneOf('attach', values['attach'], ['block', 'pmem']) }),
    ...(values['queues'] === undefined ? {} : { queues: wholeNumber(values['queues']) }),
    ...(values['cache'] === undefined ? {} : { cache: oneOf('cache', values['cache'], ['none', 'writeback', 'writethrough']) }),
    ...(values['engine'] === undefined ? {} : { engine: oneOf('engine', values['engine'], ['auto', 'io-uring', 'direct']) }),
    ...(values['on-no-space'] === undefined ? {} : { onNoSpace: oneOf('on-no-space', values['on-no-space'], ['report', 'pause']) }),
    ...(throttle === undefined ? {} : { throttle }),
    ...(values['blocksize'] === undefined
      ? {}
      : { blockSize: oneOf('blocksize', values['blocksize'], ['512', '4096']) === '512' ? 512 : 4096 }),
  };
}
