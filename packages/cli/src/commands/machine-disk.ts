// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { contextOf } from '../context.js';
import { showProgress } from '../output/progress.js';
import { printOne } from '../output/render.js';
import { toDisk } from './machine-create.js';
import { machineDetails } from './machine-columns.js';

/** Disks that a stopped machine gets and loses. */
export function addDiskCommands(machine: Command): void {
  const disk = machine.command('disk').description('disks of a stopped machine');
  disk
    .command('attach <machine> <volume=V|image=I|size=S,...>')
    .description('give a machine one more disk, with the keys that `machine create --disk` has')
    .action(async (name: string, text: string, _options: unknown, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const { data } = await client.machines.get(name, { signal });
      const params = toDisk(text, `disk${(data.spec.disks ?? []).length}`);
      const found = await client.machines.attachDisk(name, params, { signal, onProgress: showProgress() });
      printOne(found.data, machineDetails, output);
    });
  disk
    .command('detach <machine> <disk>')
    .description('take a disk from a machine; its volume stays')
    .option('--delete-volume', 'delete its volume as well')
    .action(async (name: string, diskName: string, { deleteVolume }: { readonly deleteVolume?: true }, command: Command) => {
      const { client, output, signal } = contextOf(command);
      const params = deleteVolume === undefined ? {} : { deleteVolume };
      printOne((await client.machines.detachDisk(name, diskName, params, { signal })).data, machineDetails, output);
    });
}
