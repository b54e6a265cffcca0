// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Executor } from '../../database/database.js';
import { PoolUse } from '../pools/pool-use.service.js';
import type { Volume } from './volume.js';
import { VolumeLocked, VolumeNotFound } from './volume.errors.js';
import { VolumeHolders } from './volume-holders.js';
import { VolumeRepository } from './volume.repository.js';

/** Volumes that others are copied from: what is in them must stay as it is meanwhile. */
@Injectable()
export class VolumeSources {
  constructor(
    private readonly repository: VolumeRepository,
    private readonly holders: VolumeHolders,
    private readonly pools: PoolUse,
  ) {}

  async find(idOrName: string, field?: string, db?: Executor): Promise<Volume> {
    const volume = await this.repository.find(idOrName, db);
    if (volume === undefined) throw new VolumeNotFound(idOrName, field);
    return volume;
  }

  /** Fails unless it is whole and nobody writes to it; in the transaction that stores what keeps it so. */
  async requireAtRest(id: string, field: string | undefined, db: Executor): Promise<void> {
    const volume = await this.find(id, field, db);
    if (volume.state !== 'ready') throw new VolumeLocked(`Volume "${volume.name}" is ${volume.state}.`, 'Wait until it is ready.', field);
    await this.pools.requireStarted([volume.pool], db, field);
    if (volume.machine !== undefined) await this.holders.requireAtRest(volume, volume.machine, field, db);
  }
}
