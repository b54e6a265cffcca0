// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { WriteTransaction } from '../../database/database.js';
import type { Operation } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step } from '../operations/operation-definition.js';
import { volumeTarget } from '../volumes/volume.js';
import { VolumesOnHost } from '../volumes/volume.operations.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import type { VolumeContent } from '../volumes/volume-plan.service.js';
import type { DiskSpec, Machine } from './machine.js';
import { MachineRepository } from './machine.repository.js';
import { targetOf } from './machine-states.service.js';

const MEBIBYTE = 1024 * 1024;

/** What the attach of a disk keeps. */
export interface AttachInput extends Record<string, unknown> {
  disk: DiskSpec;
  volume: string;
  /** Whether the volume is made for it. */
  made: boolean;
}

/** What the detach of a disk keeps. */
export interface DetachInput extends Record<string, unknown> {
  volume: string;
  deleteVolume: boolean;
}

/** Gives a machine one more disk: it has it once the volume is whole. */
@Injectable()
export class DiskAttach implements OperationDefinition {
  readonly kind = 'disk.attach';

  constructor(
    private readonly host: VolumesOnHost,
    private readonly machines: MachineRepository,
    private readonly volumes: VolumeRepository,
  ) {}

  steps({ input }: Operation): readonly Step[] {
    if (input['made'] !== true) return [];
    return [
      {
        name: 'volume',
        run: async (context) => {
          const { disk, volume } = context.operation.input as AttachInput;
          const { sizeBytes } = await this.host.make(volume, contentOf(disk), context);
          context.also((tx) => this.volumes.markReady(volume, sizeBytes, tx.db));
        },
        undo: (operation) => this.host.remove((operation.input as AttachInput).volume),
      },
    ];
  }

  async finish({ target, input }: Operation, { state }: Ending, tx: WriteTransaction): Promise<void> {
    const { disk, volume, made } = input as AttachInput;
    const machine = await this.machines.find(target.id, tx.db);
    if (state === 'succeeded' && machine !== undefined) {
      machine.spec.disks.push(disk);
      machine.observed.disks.push({ name: disk.name, volume });
      return storeDisks(machine, this.machines, tx);
    }
    if (made) await this.volumes.remove([volume], tx.db);
    else await this.volumes.release(target.id, [volume], tx.db);
  }
}

/** Removes the volume of a disk that its machine has no more, if that is wanted too. */
@Injectable()
export class DiskDetach implements OperationDefinition {
  readonly kind = 'disk.detach';

  constructor(
    private readonly host: VolumesOnHost,
    private readonly volumes: VolumeRepository,
  ) {}

  steps({ input }: Operation): readonly Step[] {
    const { volume, deleteVolume } = input as DetachInput;
    return deleteVolume ? [{ name: 'remove', run: () => this.host.remove(volume) }] : [];
  }

  async finish({ input }: Operation, { state }: Ending, tx: WriteTransaction): Promise<void> {
    const { volume: id, deleteVolume } = input as DetachInput;
    const volume = await this.volumes.find(id, tx.db);
    if (state !== 'succeeded' || !deleteVolume || volume === undefined) return;
    await this.volumes.remove([id], tx.db);
    tx.emit({ kind: 'volume.deleted', target: volumeTarget(volume), data: {} });
  }
}

/** Stores a machine whose disks have changed. */
export async function storeDisks(machine: Machine, repository: MachineRepository, tx: WriteTransaction): Promise<void> {
  machine.generation += 1;
  machine.updatedAt = new Date().toISOString();
  await repository.save(machine, tx.db);
  tx.emit({ kind: 'machine.updated', target: targetOf(machine), data: { generation: machine.generation } });
}

function contentOf({ image, clone, sizeMiB }: DiskSpec): VolumeContent {
  return {
    ...(image === undefined ? {} : { imageId: image }),
    ...(clone === undefined ? {} : { clone }),
    ...(sizeMiB === undefined ? {} : { sizeBytes: sizeMiB * MEBIBYTE }),
  };
}
