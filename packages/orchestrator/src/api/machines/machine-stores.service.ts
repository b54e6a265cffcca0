// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { WriteTransaction } from '../../database/database.js';
import { ImagesService } from '../images/images.service.js';
import { NetworksService } from '../networks/networks.service.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import { VolumesService } from '../volumes/volumes.service.js';
import { storageOf } from '../volumes/volume.js';
import { requireServable, requireWhole } from './disk-checks.js';
import type { MachineAddress } from './machine.js';
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
  ) {}

  /**
   * Stores new volumes, claims given ones, reserves addresses and, for a machine that is to run, looks for memory. Looks at the
   * images again: until the machine is stored nothing keeps them, so they may have been deleted since the plan was made.
   */
  async reserve(plan: MachinePlan, start: boolean, tx: WriteTransaction): Promise<MachineAddress[]> {
    if (start) await this.memory.requireRoom(plan, tx.db);
    for (const { id, kind, field } of plan.images) await this.images.resolve(id, kind, field, tx.db);
    for (const volume of plan.newVolumes) await this.volumeRepository.insert(volume, tx.db);
    for (const [index, disk] of plan.spec.disks.entries()) {
      if (disk.volume === undefined) continue;
      const volume = await this.volumes.claim(disk.volume, plan.id, `disks[${index}].volume`, tx.db);
      requireServable(storageOf(volume), disk, `disks[${index}]`);
      requireWhole(volume.sizeBytes, disk, `disks[${index}].sizeMiB`);
    }
    const addresses: MachineAddress[] = [];
    for (const [index, link] of plan.spec.interfaces.entries()) {
      const network = link.network === undefined ? undefined : plan.networks.get(link.network);
      if (network === undefined) continue;
      const reserved = await this.networks.reserve(
        network,
        { machine: plan.id, interface: link.name, mac: link.mac },
        `interfaces[${index}]`,
        tx.db,
      );
      addresses.push({ interface: link.name, mac: link.mac, address: reserved.ip });
    }
    return addresses;
  }
}
