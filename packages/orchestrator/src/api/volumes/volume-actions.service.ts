// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { requireMatch } from '../../common/precondition.js';
import { isShared } from '../../common/volume-storage.js';
import { isUniqueViolation, type WriteTransaction } from '../../database/database.js';
import type { Operation } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import { PoolUse } from '../pools/pool-use.service.js';
import type { CreateVolume } from './dto/volume-requests.dto.js';
import { storageOf, type Volume, volumeTarget } from './volume.js';
import { beingCopied, VolumeBusy, VolumeInUse, VolumeNameTaken, VolumeNotFound } from './volume.errors.js';
import { VolumeHolders } from './volume-holders.js';
import { VolumeSources } from './volume-sources.service.js';
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
    private readonly sources: VolumeSources,
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
      await this.requireNotCopied(current.id, tx);
      await this.pools.requireStarted([current.pool], tx.db);
      await this.repository.setState(current.id, 'deleting', tx.db);
    });
  }

  /** Into another pool; its machine is stopped. */
  async move(idOrName: string, poolIdOrName: string, ifMatch?: string): Promise<Operation> {
    const volume = await this.sources.find(idOrName);
    const pool = await this.pools.resolve(poolIdOrName, 'pool');
    const bound = await this.pools.boundOf(pool.name);
    const target = volumeTarget(volume);
    const { id } = volume;
    const input = { pool: pool.name, from: volume.pool };
    const submit = () =>
      this.operations.submit({ kind: 'volume.move', target, input, result: { volumeId: id } }, async (tx, operation) => {
        const current = await this.idle(id, tx);
        requireMatch('Volume', current, ifMatch);
        requireMovable(current, pool.name);
        await this.requireNotCopied(id, tx);
        await this.sources.requireAtRest(id, undefined, tx.db);
        await this.pools.requireStarted([pool.name], tx.db, 'pool');
        await this.pools.requireRoom({ pool: pool.name, bytes: current.sizeBytes, field: 'pool' }, bound, tx.db);
        operation.input = { pool: pool.name, from: current.pool };
        await this.repository.setState(id, 'moving', tx.db);
      });
    return this.volumes.whileNotGrowing(id, submit);
  }

  private async requireNotCopied(id: string, tx: WriteTransaction): Promise<void> {
    const copied = await this.repository.copied([id], tx.db);
    if (copied !== undefined) throw beingCopied(copied);
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

function requireMovable(volume: Volume, pool: string): void {
  const shared = isShared(storageOf(volume));
  if (!shared && volume.pool !== pool) return;
  throw new ApiError('spec.disk_invalid', {
    detail: shared
      ? `Volume "${volume.name}" is its image, which stays where images are.`
      : `Volume "${volume.name}" is in pool "${pool}" already.`,
    remedy: shared ? 'Copy it in place of that: POST /v1/volumes with from: { volume }.' : 'Name another pool.',
    field: 'pool',
  });
}
