// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Executor } from '../../database/database.js';
import type { VolumeHolder } from '../../host-agent/host-agent.js';
import type { Volume } from '../volumes/volume.js';
import { VolumeHolders } from '../volumes/volume-holders.js';
import { requireWhole } from './disk-checks.js';
import type { Machine } from './machine.js';
import { MachineRepository } from './machine.repository.js';

/** The machines as holders of volumes. */
@Injectable()
export class MachineVolumeHolders extends VolumeHolders {
  constructor(private readonly machines: MachineRepository) {
    super();
  }

  override async holderOf(volume: Volume): Promise<VolumeHolder | undefined> {
    const held = await this.find(volume);
    return held === undefined ? undefined : { machineId: held.machine.id, disk: held.disk };
  }

  override async requireSize(volume: Volume, sizeBytes: number): Promise<void> {
    const held = await this.find(volume);
    const disk = held?.machine.spec.disks.find(({ name }) => name === held.disk);
    if (disk !== undefined) requireWhole(sizeBytes, disk, 'sizeMiB');
  }

  override async nameOf(machineId: string, db: Executor): Promise<string> {
    return (await this.machines.find(machineId, db))?.name ?? machineId;
  }

  private async find(volume: Volume): Promise<{ machine: Machine; disk: string } | undefined> {
    const machine = volume.machine === undefined ? undefined : await this.machines.find(volume.machine);
    const disk = machine?.observed.disks.find((one) => one.volume === volume.id);
    return machine === undefined || disk === undefined ? undefined : { machine, disk: disk.name };
  }
}
