// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError, needingSpace } from '../../common/api-error.js';
import type { WriteTransaction } from '../../database/database.js';
import { HostAgent, type VolumeFacts, type VolumeOrigin } from '../../host-agent/host-agent.js';
import type { Operation } from '../operations/operation.js';
import type { Ending, OperationDefinition, Step, StepContext } from '../operations/operation-definition.js';
import { PoolUse } from '../pools/pool-use.service.js';
import type { VolumeContent } from './volume-plan.service.js';
import { storageOf } from './volume.js';
import { VolumeNotFound } from './volume.errors.js';
import { VolumeRepository } from './volume.repository.js';

/** What the host does with volumes, by what is stored of them. */
@Injectable()
export class VolumesOnHost {
  constructor(
    private readonly agent: HostAgent,
    private readonly repository: VolumeRepository,
    private readonly pools: PoolUse,
  ) {}

  async make(id: string, { source, ...content }: VolumeContent, { signal, progress, copying }: StepContext): Promise<VolumeFacts> {
    const volume = await this.repository.find(id);
    if (volume === undefined) throw new VolumeNotFound(id);
    const pool = await this.pools.refOf(volume.pool);
    const origin = source === undefined ? {} : { origin: await this.originOf(source) };
    const command = { id, ...content, ...origin, ...(pool === undefined ? {} : { pool }) };
    const make = () => this.agent.ensureVolume(command, { signal, onProgress: progress });
    const field = source !== undefined ? 'from.volume' : content.imageId === undefined ? 'sizeMiB' : 'from.image';
    return needingSpace(field, () => copying(make), 'sizeMiB');
  }

  private async originOf(id: string): Promise<VolumeOrigin> {
    const volume = await this.repository.find(id);
    if (volume === undefined) throw new VolumeNotFound(id, 'from.volume');
    const pool = await this.pools.refOf(volume.pool);
    return { id, ...storageOf(volume), ...(pool === undefined ? {} : { pool }) };
  }

  /** Makes the copy in another pool, under its own id. What a move away from there may have left is no copy. */
  async copyInto(id: string, name: string, { signal, progress, copying }: StepContext): Promise<VolumeFacts> {
    const origin = await this.originOf(id);
    const { sizeBytes } = (await this.repository.find(id)) ?? { sizeBytes: 0 };
    const pool = await this.pools.refOf(name);
    const command = { id, origin, sizeBytes, ...(pool === undefined ? {} : { pool }) };
    return needingSpace('pool', () => copying(() => this.agent.ensureVolume(command, { signal, onProgress: progress })));
  }

  async removeFrom(id: string, name: string): Promise<void> {
    const pool = await this.pools.refOf(name);
    await this.agent.removeVolume({ id, ...(pool === undefined ? {} : { pool }) });
  }

  /** `force`: also when its pool cannot be reached, which may never come back. */
  async remove(id: string, force = false): Promise<void> {
    const volume = await this.repository.find(id);
    if (volume === undefined) return;
    const pool = await this.pools.refOf(volume.pool);
    await this.agent.removeVolume({ id, ...(pool === undefined ? {} : { pool }) }).catch((error: unknown) => {
      if (!force || ApiError.from(error).code !== 'pool.unavailable') throw error;
    });
  }
}

/** Makes a volume, from an image or empty. Nothing of it stays when that fails. */
@Injectable()
export class VolumeCreate implements OperationDefinition {
  readonly kind = 'volume.create';

  constructor(
    private readonly host: VolumesOnHost,
    private readonly repository: VolumeRepository,
  ) {}

  steps({ target: { id } }: Operation): readonly Step[] {
    return [
      {
        name: 'volume',
        run: async (context) => {
          const { operation } = context;
          const { sizeBytes } = await this.host.make(id, operation.input, context);
          operation.result = { volumeId: id, sizeBytes };
        },
        undo: () => this.host.remove(id),
      },
    ];
  }

  async finish({ target, result }: Operation, ending: Ending, tx: WriteTransaction): Promise<void> {
    if (ending.state === 'succeeded') {
      const { sizeBytes } = result as unknown as VolumeFacts;
      await this.repository.markReady(target.id, sizeBytes, tx.db);
      tx.emit({ kind: 'volume.ready', target, data: { sizeBytes } });
      return;
    }
    await this.repository.remove([target.id], tx.db);
    tx.emit({ kind: 'volume.failed', target, data: { code: ending.error.code } });
  }
}

/** Removes a volume. When that fails, what is left of it may be half a disk: it stays `deleting`, and can be deleted again. */
@Injectable()
export class VolumeDelete implements OperationDefinition {
  readonly kind = 'volume.delete';

  constructor(
    private readonly host: VolumesOnHost,
    private readonly repository: VolumeRepository,
  ) {}

  steps({ target, input }: Operation): readonly Step[] {
    return [{ name: 'remove', run: () => this.host.remove(target.id, input['force'] === true) }];
  }

  async finish({ target }: Operation, { state }: Ending, tx: WriteTransaction): Promise<void> {
    if (state !== 'succeeded') return;
    await this.repository.remove([target.id], tx.db);
    tx.emit({ kind: 'volume.deleted', target, data: {} });
  }
}
