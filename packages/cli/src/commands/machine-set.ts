// SPDX-License-Identifier: Apache-2.0
import type { MachineHandle, UpdateMachine } from '@flotilla/sdk';
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { UsageError } from '../failure.js';
import { printOne } from '../output/render.js';
import { collect, collectLabel, mebibytes, wholeNumber } from '../values.js';
import { toCloudInit } from './cloud-init-options.js';
import { machineDetails } from './machine-columns.js';

interface SetOptions {
  readonly name?: string;
  readonly cpus?: number;
  readonly memory?: number;
  readonly notes?: string;
  readonly protect?: boolean;
  readonly userData?: string;
  readonly networkConfig?: string;
  readonly sshKey?: readonly string[];
  readonly label?: Record<string, string>;
  readonly unlabel?: readonly string[];
}

export function addMachineSetCommand(machine: Command): void {
  machine
    .command('set <machine>')
    .description('change a machine; its name, CPUs and memory while it is stopped')
    .option('--name <name>', 'rename it; it is also its host name on its networks')
    .option('--cpus <n>', 'virtual CPUs, 1 to 64', wholeNumber)
    .option('--memory <size>', 'memory, for example 512M or 2G', mebibytes)
    .option('--notes <text>', 'anything worth knowing about it')
    .option('--protect', 'refuse to delete it')
    .option('--no-protect', 'let it be deleted')
    .option('--user-data <file>', 'with the two below: all that cloud-init is told from now on, while the machine is stopped')
    .option('--network-config <file>', 'network configuration for cloud-init')
    .option('--ssh-key <file>', 'public keys that cloud-init lets in (may be repeated)', collect)
    .option('--label <key=value>', 'add or change a label (may be repeated)', collectLabel)
    .option('--unlabel <key>', 'take a label away (may be repeated)', collect)
    .action(async (name: string, options: SetOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      if (Object.keys(options).length === 0) throw new UsageError('Say what to change: see `flotilla machine set --help`.');
      const found = await client.machines.get(name, { signal });
      const change = toChange(found, options);
      // Labels are changed as they were read: somebody else's change in between must not get lost.
      const changed = await found.update(change, { signal, ...(change.labels === undefined ? {} : { ifMatch: found.etag }) });
      printOne(changed.data, machineDetails, output);
    });
}

function toChange({ data }: MachineHandle, options: SetOptions): UpdateMachine {
  const { name, cpus, memory, notes, protect, label, unlabel } = options;
  return {
    ...toCloudInit(options),
    ...(name === undefined ? {} : { name }),
    ...(cpus === undefined ? {} : { cpus }),
    ...(memory === undefined ? {} : { memoryMiB: memory }),
    ...(notes === undefined ? {} : { notes }),
    ...(protect === undefined ? {} : { protected: protect }),
    ...(label === undefined && unlabel === undefined ? {} : { labels: relabelled(data.labels, label, unlabel) }),
  };
}

function relabelled(
  labels: Readonly<Record<string, string>>,
  added: Record<string, string> = {},
  removed: readonly string[] = [],
): Record<string, string> {
  return Object.fromEntries(Object.entries({ ...labels, ...added }).filter(([key]) => !removed.includes(key)));
}
