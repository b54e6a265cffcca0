// SPDX-License-Identifier: Apache-2.0
import type { Volume } from '@flotilla/sdk';
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { type Columns, printList, printOne } from '../output/render.js';
import { mebibytes } from '../values.js';

const columns: Columns<Volume> = [
  ['id', ({ id }) => id],
  ['name', ({ name }) => name],
  ['pool', ({ pool }) => pool],
  ['MiB', ({ sizeBytes }) => String(sizeBytes / 2 ** 20)],
  ['format', ({ format }) => format],
  ['backing image', ({ backingImage }) => backingImage ?? ''],
  ['machine', ({ machine }) => machine ?? ''],
  ['state', ({ state }) => state],
];

export function addVolumeCommands(program: Command): void {
  const volume = program.command('volume').description('the disks of machines');
  volume
    .command('list')
    .description('list the volumes')
    .action(async (_options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printList(await client.volumes.list({}, { signal }).all(), columns, output);
    });
  volume
    .command('show <id>')
    .description('show a volume')
    .action(async (id: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.volumes.get(id, { signal }), columns, output);
    });
  volume
    .command('resize <id>')
    .description('make a volume larger, also under a running machine')
    .requiredOption('--size <size>', 'the new size, for example 20G', mebibytes)
    .action(async (id: string, options: { readonly size: number }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.volumes.resize(id, { sizeMiB: options.size }, { signal }), columns, output);
    });
}
