// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import type { Executor } from '../../database/database.js';
import type { VolumeHolder } from '../../host-agent/host-agent.js';
import { OperationsService } from '../operations/operations.service.js';
import type { Volume } from '../volumes/volume.js';
import { VolumeHolders } from '../volumes/volume-holders.js';
import { requireWhole } from './disk-checks.js';
import type { Machine } from './machine.js';
import { isAtRest } from './machine-change.js';
import { MachineRepository } from './machine.repository.js';
import { UnseenMachines } from './unseen-machines.js';

/** The machines as holders of volumes. */
@Injectable()
export class MachineVolumeHolders extends VolumeHolders {
  constructor(
    private readonly machines: MachineRepository,
    private readonly operations: OperationsService,
    private readonly unseen: UnseenMachines,
  ) {
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

  override async requireAtRest({ name }: Volume, machineId: string, field: string | undefined, db: Executor): Promise<void> {
    const machine = await this.machines.find(machineId, db);
    const open = await this.operations.openFor(machineId, db);
    if (machine !== undefined && open === undefined && isAtRest(this.unseen.shown(machine))) return;
    throw new ApiError('volume.in_use', {
      detail: `Volume "${name}" is a disk of machine "${machine?.name ?? machineId}", which is ${machine?.observed.state ?? 'made'}${open === undefined ? '' : ` (${open.kind})`}.`,
      remedy: 'Stop that machine first.',
      field,
    });
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
