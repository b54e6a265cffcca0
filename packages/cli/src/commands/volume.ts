// SPDX-License-Identifier: Apache-2.0
import type { CreateVolume, Volume } from '@flotilla/sdk';
import { type Command, Option } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { type Columns, printList, printOne, say } from '../output/render.js';
import { collectLabel, mebibytes } from '../values.js';

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

interface CreateOptions {
  readonly size?: number;
  readonly pool?: string;
  readonly image?: string;
  readonly clone?: NonNullable<CreateVolume['from']>['clone'];
  readonly format?: NonNullable<CreateVolume['format']>;
  readonly preallocate?: true;
  readonly label?: Record<string, string>;
}

export function addVolumeCommands(program: Command): void {
  const volume = program.command('volume').description('volumes: the disks of machines');
  addCreateCommand(volume);
  addCopyCommand(volume);
  volume
    .command('list')
    .description('list the volumes')
    .option('--label <key=value>', 'only with this label (may be repeated)', collectLabel)
    .action(async (options: { label?: Record<string, string> }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const filter = options.label === undefined ? {} : { labels: options.label };
      printList(await client.volumes.list(filter, { signal }).all(), columns, output);
    });
  volume
    .command('show <volume>')
    .description('show a volume')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.volumes.get(name, { signal }), columns, output);
    });
  volume
    .command('resize <volume>')
    .description('make a volume larger, also under a running machine')
    .requiredOption('--size <size>', 'the new size, for example 20G', mebibytes)
    .action(async (name: string, options: { readonly size: number }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.volumes.resize(name, { sizeMiB: options.size }, { signal }), columns, output);
    });
  volume
    .command('move <volume>')
    .description('move a volume into another pool; its machine is stopped')
    .requiredOption('--pool <pool>', 'the storage pool that it goes into')
    .action(async (name: string, { pool }: { readonly pool: string }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.volumes.move(name, { pool }, { signal, onProgress: showProgress() }), columns, output);
    });
  volume
    .command('delete <volume>')
    .description('delete a volume that no machine holds')
    .option('--force', 'also when the host cannot reach its pool: what of it is there stays there')
    .action(async (name: string, { force }: { readonly force?: true }, command: Command) => {
      const { client, signal } = contextOf(command);
      await client.volumes.delete(name, { signal, ...(force === undefined ? {} : { force }) });
      say(`Volume ${name} is deleted.`);
    });
}

function addCreateCommand(volume: Command): void {
  volume
    .command('create <name>')
    .description('make a volume, empty or from an image')
    .option('--size <size>', 'its size, for example 20G; needed unless it is made from an image', mebibytes)
    .option('--pool <pool>', 'the storage pool that it is made in (default: default)')
    .option('--image <image>', 'a disk image that it is made from')
    .addOption(new Option('--clone <kind>', 'how it is made from the image (default: full)').choices(['full', 'linked']))
    .addOption(new Option('--format <format>', 'how an empty one is stored (default: raw)').choices(['raw', 'qcow2']))
    .option('--preallocate', 'take all of its space at once')
    .option('--label <key=value>', 'label (may be repeated)', collectLabel)
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      printOne(await client.volumes.create(toVolume(name, options), { signal, onProgress: showProgress() }), columns, output);
    });
}

function addCopyCommand(volume: Command): void {
  volume
    .command('copy <volume> <name>')
    .description('copy a volume, also into another pool; its machine is stopped')
    .option('--size <size>', 'a larger size for the copy', mebibytes)
    .option('--pool <pool>', 'the storage pool that the copy is made in (default: default)')
    .option('--preallocate', 'take all of its space at once')
    .option('--label <key=value>', 'label (may be repeated)', collectLabel)
    .action(async (source: string, name: string, options: CreateOptions, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const params = { ...toVolume(name, options), from: { volume: source } };
      printOne(await client.volumes.create(params, { signal, onProgress: showProgress() }), columns, output);
    });
}

/** The request that the options mean. */
export function toVolume(name: string, { size, pool, image, clone, format, preallocate, label }: CreateOptions): CreateVolume {
  return {
    name,
    ...(size === undefined ? {} : { sizeMiB: size }),
    ...(pool === undefined ? {} : { pool }),
    ...(image === undefined && clone === undefined ? {} : { from: { image: image ?? '', ...(clone === undefined ? {} : { clone }) } }),
    ...(format === undefined ? {} : { format }),
    ...(preallocate === undefined ? {} : { preallocate: 'full' }),
    ...(label === undefined ? {} : { labels: label }),
  };
}
