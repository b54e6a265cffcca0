// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { VolumeHolder } from '../../host-agent/host-agent.js';
import type { Volume } from '../volumes/volume.js';
import { VolumeHolders } from '../volumes/volume-holders.js';
import { MachineRepository } from './machine.repository.js';

/** The machines as holders of volumes. */
@Injectable()
export class MachineVolumeHolders extends VolumeHolders {
  constructor(private readonly machines: MachineRepository) {
    super();
  }

  override async holderOf(volume: Volume): Promise<VolumeHolder | undefined> {
    const machine = volume.machine === undefined ? undefined : await this.machines.find(volume.machine);
    const disk = machine?.observed.disks.find((one) => one.volume === volume.id);
    return machine === undefined || disk === undefined ? undefined : { machineId: machine.id, disk: disk.name };
  }
}
