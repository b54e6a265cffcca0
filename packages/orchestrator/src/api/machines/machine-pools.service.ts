// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { PoolRef } from '../../common/pool.js';
import type { Executor } from '../../database/database.js';
import { PoolUse } from '../pools/pool-use.service.js';
import { beingCopied, VolumeLocked } from '../volumes/volume.errors.js';
import type { Volume } from '../volumes/volume.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import type { Machine } from './machine.js';

/** The pools in which a machine has its volumes. */
@Injectable()
export class MachinePools {
  constructor(
    private readonly volumes: VolumeRepository,
    private readonly pools: PoolUse,
  ) {}

  /** Fails unless each of them is started, and none of the volumes is being copied or moved: what is written meanwhile would be lost, or half there. */
  async requireUsable(machine: Machine, db: Executor): Promise<void> {
    const copied = await this.volumes.copied(
      machine.observed.disks.map(({ volume }) => volume),
      db,
    );
    if (copied !== undefined) throw beingCopied(copied);

    const found = await Promise.all(machine.observed.disks.map(({ volume }) => this.volumes.find(volume, db)));
    const moving = found.find((volume) => volume?.state === 'moving');
    if (moving !== undefined)
      throw new VolumeLocked(`Volume "${moving.name}" is on its way into another pool.`, 'Wait until it is there, or cancel the move.');
    await this.pools.requireStarted(
      found.flatMap((volume) => (volume === undefined ? [] : [volume.pool])),
      db,
    );
  }

  /** How the host is told of the pool of a volume; nothing for the one that every installation has. */
  async placeOf(volume: Pick<Volume, 'pool'> | undefined): Promise<{ pool?: PoolRef }> {
    const pool = volume === undefined ? undefined : await this.pools.refOf(volume.pool);
    return pool === undefined ? {} : { pool };
  }
}
