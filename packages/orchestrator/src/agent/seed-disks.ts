// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { SEED_DISK } from '../common/cloud-init.js';
import type { LaunchCommand } from '../host-agent/host-agent.js';
import type { FileTools, SeedFile } from './files/file-tools.js';
import type { HypervisorSpec } from './hypervisor/hypervisor.js';
import type { Keep } from './touched.js';

type Disk = HypervisorSpec['disks'][number];

/**
 * Disks that tell cloud-init in a guest who it is and what to do (data source NoCloud). Each is made anew when its machine is
 * created on the host, and goes when the machine is released: passwords in it are on the host no longer than needed.
 */
export class SeedDisks {
  constructor(
    private readonly directory: string,
    private readonly files: FileTools,
  ) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }

  /** The disk of a machine that has something to tell; the last one, so that the names of the others in the guest stay. */
  async make(command: LaunchCommand): Promise<Disk[]> {
    if (command.cloudInit === undefined) return [];
    const path = join(this.directory, command.id);
    await this.files.createSeedDisk(path, seedFiles(command.id, command.cloudInit));
    return [{ name: SEED_DISK, path, format: 'raw', backing: [], readOnly: true, serial: SEED_DISK, queues: 1 }];
  }

  async remove(id: string): Promise<void> {
    for (const name of [id, ...halfMade(id)]) await rm(join(this.directory, name), { force: true });
  }

  async collect(owned: Keep): Promise<string[]> {
    const removed: string[] = [];
    for (const name of await readdir(this.directory)) {
      if (owned.has(name.replace(/^\./, '').replace(/\.partial$/, ''))) continue;
      await rm(join(this.directory, name), { force: true });
      removed.push(join(this.directory, name));
    }
    return removed;
  }
}

/** Names under which the native module and plain Node make the file. */
function halfMade(id: string): string[] {
  return [`.${id}.partial`, `${id}.partial`];
}

/** The files by the names that cloud-init knows. JSON is YAML, and needs no other quoting. */
export function seedFiles(id: string, { hostname, userData, networkConfig, sshKeys }: NonNullable<LaunchCommand['cloudInit']>): SeedFile[] {
  const keys = sshKeys.length === 0 ? {} : { 'public-keys': sshKeys };
  const metaData = { 'instance-id': id, 'local-hostname': hostname, ...keys };
  return [
    { name: 'meta-data', content: `${JSON.stringify(metaData, undefined, 2)}\n` },
    // Without this file the data source is not taken for one.
    { name: 'user-data', content: userData ?? '' },
    ...(networkConfig === undefined ? [] : [{ name: 'network-config', content: networkConfig }]),
  ];
}
