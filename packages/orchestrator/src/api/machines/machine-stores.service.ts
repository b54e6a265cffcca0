// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { WriteTransaction } from '../../database/database.js';
import { isShared } from '../../common/volume-storage.js';
import { ImagesService } from '../images/images.service.js';
import { NetworksService } from '../networks/networks.service.js';
import { PoolUse } from '../pools/pool-use.service.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import { VolumesService } from '../volumes/volumes.service.js';
import { storageOf, type Volume } from '../volumes/volume.js';
import type { DiskPlan } from './disk-plan.service.js';
import { requireServable, requireWhole } from './disk-checks.js';
import type { DiskSpec, MachineAddress } from './machine.js';
import { MachineMemory } from './machine-memory.service.js';
import type { MachinePlan } from './machine-plan.service.js';

/** What a machine holds beside its own row: volumes and addresses. */
@Injectable()
export class MachineStores {
  constructor(
    private readonly images: ImagesService,
    private readonly volumes: VolumesService,
    private readonly volumeRepository: VolumeRepository,
    private readonly networks: NetworksService,
    private readonly memory: MachineMemory,
    private readonly pools: PoolUse,
  ) {}

  /**
   * Stores new volumes, claims given ones, reserves addresses and, for a machine that is to run, looks for memory. Looks at the
   * images again: until the machine is stored nothing keeps them, so they may have been deleted since the plan was made.
   */
  async reserve(plan: MachinePlan, start: boolean, tx: WriteTransaction): Promise<MachineAddress[]> {
    if (start) await this.memory.requireRoom(plan, tx.db);
    await this.reserveDisks(plan, plan.spec.disks, (index) => `disks[${index}]`, tx);
    const addresses: MachineAddress[] = [];
    for (const [index, link] of plan.spec.interfaces.entries()) {
      const network = link.network === undefined ? undefined : plan.networks.get(link.network);
      if (network === undefined) continue;
      const reserved = await this.networks.reserve(
        network,
        { machine: plan.id, interface: link.name, mac: link.mac, wanted: link.address },
        `interfaces[${index}]`,
        tx.db,
      );
      addresses.push({ interface: link.name, mac: link.mac, ...(reserved.ip === '' ? {} : { address: reserved.ip }) });
    }
    return addresses;
  }

  /** Stores new volumes and claims given ones: what these disks of a machine are. */
  async reserveDisks(plan: DiskPlan, disks: DiskSpec[], fieldOf: (index: number) => string, tx: WriteTransaction): Promise<void> {
    for (const { id, kind, field } of plan.images) await this.images.resolve(id, kind, field, tx.db);
    for (const volume of plan.newVolumes) {
      const { name } = plan.disks.find((disk) => disk.volume === volume.id) ?? {};
      await this.reserveVolume(plan, volume, fieldOf(disks.findIndex((disk) => disk.name === name)), tx);
    }
    const given: string[] = [];
    for (const [index, disk] of disks.entries()) {
      if (disk.volume === undefined) continue;
      const volume = await this.volumes.claim(disk.volume, plan.id, `${fieldOf(index)}.volume`, tx.db);
      nameVolume(plan, disk, volume.id);
      given.push(volume.pool);
      requireServable(storageOf(volume), disk, fieldOf(index));
      requireWhole(volume.sizeBytes, disk, `${fieldOf(index)}.sizeMiB`);
    }
    await this.pools.requireStarted(given, tx.db, 'disks');
  }

  /** Stores a volume to make, in a pool that is started and may promise that much. */
  private async reserveVolume(plan: DiskPlan, volume: Volume, field: string, tx: WriteTransaction): Promise<void> {
    await this.pools.requireStarted([volume.pool], tx.db, `${field}.pool`);
    const wanted = { pool: volume.pool, bytes: volume.sizeBytes, field: `${field}.sizeMiB` };
    if (!isShared(storageOf(volume))) await this.pools.requireRoom(wanted, plan.bounds.get(volume.pool), tx.db);
    await this.volumeRepository.insertNamed(volume, tx.db);
  }
}

/** A machine keeps the ids of its volumes: what was given may have been a name. */
function nameVolume(plan: DiskPlan, disk: DiskSpec, id: string): void {
  disk.volume = id;
  const held = plan.disks.find(({ name }) => name === disk.name);
  if (held !== undefined) held.volume = id;
}
