// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { requireMatch } from '../../common/precondition.js';
import { isUniqueViolation, type WriteTransaction } from '../../database/database.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { PoolUse } from '../pools/pool-use.service.js';
import type { CreateVolume } from './dto/volume-requests.dto.js';
import { type Volume, volumeTarget } from './volume.js';
import { beingCopied, VolumeBusy, VolumeInUse, VolumeNameTaken, VolumeNotFound } from './volume.errors.js';
import { VolumeHolders } from './volume-holders.js';
import { VolumePlanner } from './volume-plan.service.js';
import { VolumeRepository } from './volume.repository.js';
import { VolumesService } from './volumes.service.js';

/** What volumes are asked to do: each becomes an operation. */
@Injectable()
export class VolumeActions {
  constructor(
    private readonly repository: VolumeRepository,
    private readonly operations: OperationsService,
    private readonly planner: VolumePlanner,
    private readonly holders: VolumeHolders,
    private readonly pools: PoolUse,
    private readonly volumes: VolumesService,
  ) {}

  async create(body: CreateVolume): Promise<Operation> {
    if ((await this.repository.find(body.name)) !== undefined) throw new VolumeNameTaken(body.name);
    const plan = await this.planner.plan(body);
    const { volume } = plan;
    const target = volumeTarget(volume);
    const input = { ...plan.content };
    try {
      const submit = () =>
        this.operations.submit({ kind: 'volume.create', target, input, result: { volumeId: volume.id } }, async (tx) => {
          await this.planner.requireStill(plan, tx.db);
          await this.repository.insert(volume, tx.db);
          tx.emit({ kind: 'volume.created', target, data: { state: volume.state } });
        });
      return await (plan.source === undefined ? submit() : this.volumes.whileNotGrowing(plan.source, submit));
    } catch (error) {
      throw isUniqueViolation(error) ? new VolumeNameTaken(body.name) : error;
    }
  }

  async remove(idOrName: string, force: boolean, ifMatch?: string): Promise<Operation> {
    const volume = await this.repository.find(idOrName);
    if (volume === undefined) throw new VolumeNotFound(idOrName);
    const request = { kind: 'volume.delete' as const, target: volumeTarget(volume), input: { force }, result: { volumeId: volume.id } };
    return this.operations.submit(request, async (tx) => {
      const current = await this.idle(volume.id, tx);
      requireMatch('Volume', current, ifMatch);
      if (current.machine !== undefined) throw new VolumeInUse(current, await this.holders.nameOf(current.machine, tx.db));
      const copied = await this.repository.copied([current.id], tx.db);
      if (copied !== undefined) throw beingCopied(copied);
      await this.pools.requireStarted([current.pool], tx.db);
      await this.repository.markDeleting(current.id, tx.db);
    });
  }

  /** A volume on which nothing is under way. */
  private async idle(id: string, tx: WriteTransaction): Promise<Volume> {
    const volume = await this.repository.find(id, tx.db);
    if (volume === undefined) throw new VolumeNotFound(id);
    const open = await this.operations.openFor(id, tx.db);
    if (open !== undefined) throw new VolumeBusy(volume, open);
    return volume;
  }
}
