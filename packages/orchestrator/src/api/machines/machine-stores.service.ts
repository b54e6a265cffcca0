// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database, type WriteTransaction } from '../../database/database.js';
import { NetworksService } from '../networks/networks.service.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import { VolumesService } from '../volumes/volumes.service.js';
import type { MachineAddress } from './machine.js';
import type { MachinePlan } from './machine-plan.service.js';

/** What a machine holds beside its own row: volumes and addresses. */
@Injectable()
export class MachineStores {
  constructor(
    readonly database: Database,
    private readonly volumes: VolumesService,
    private readonly volumeRepository: VolumeRepository,
    private readonly networks: NetworksService,
  ) {}

  /** Stores new volumes, claims given ones and reserves addresses. */
  async reserve(plan: MachinePlan, tx: WriteTransaction): Promise<MachineAddress[]> {
    for (const volume of plan.newVolumes) await this.volumeRepository.insert(volume, tx.db);
    for (const [index, disk] of plan.spec.disks.entries()) {
      if (disk.volume !== undefined) await this.volumes.claim(disk.volume, plan.id, `disks[${index}].volume`, tx.db);
    }
    const addresses: MachineAddress[] = [];
    for (const [index, link] of plan.spec.interfaces.entries()) {
      const network = plan.networks.get(link.network);
      if (network === undefined) continue;
      const address = await this.networks.reserve(
        network,
        { machine: plan.id, interface: link.name, mac: link.mac },
        `interfaces[${index}]`,
        tx.db,
      );
      addresses.push({ interface: link.name, mac: link.mac, ip: address.ip });
    }
    return addresses;
  }
}
