// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import type { NamedPage } from '../../common/paging.js';
import type { VolumeFormat } from '../../common/volume-storage.js';
import { Database, type Executor } from '../../database/database.js';
import { rowsOf } from '../../database/named.js';
import type { VolumesTable } from '../../database/schema.js';
import type { Volume, VolumeState } from './volume.js';

/** Where volumes are kept. */
export abstract class VolumeRepository {
  abstract insert(volume: Volume, db: Executor): Promise<void>;
  abstract markReady(id: string, sizeBytes: number, db?: Executor): Promise<void>;
  abstract resize(id: string, sizeBytes: number): Promise<void>;
  /** Gives a free volume to a machine; false when another one holds it. */
  abstract claim(id: string, machineId: string, db: Executor): Promise<boolean>;
  abstract release(machineId: string, ids: string[], db: Executor): Promise<void>;
  abstract remove(ids: string[], db: Executor): Promise<void>;
  abstract find(id: string, db?: Executor): Promise<Volume | undefined>;
  abstract page(request: NamedPage): Promise<Volume[]>;
  abstract ids(): Promise<string[]>;
}

@Injectable()
export class KyselyVolumeRepository extends VolumeRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(volume: Volume, db: Executor): Promise<void> {
    await db
      .insertInto('volumes')
      .values({
        id: volume.id,
        name: volume.name,
        pool: volume.pool,
        size_bytes: volume.sizeBytes,
        format: volume.format,
        backing_image: volume.backingImage ?? null,
        machine_id: volume.machine ?? null,
        state: volume.state,
        created_at: volume.createdAt,
      })
      .execute();
  }

  override async markReady(id: string, sizeBytes: number, db: Executor = this.database.db): Promise<void> {
    await db.updateTable('volumes').set({ state: 'ready', size_bytes: sizeBytes }).where('id', '=', id).execute();
  }

  override async resize(id: string, sizeBytes: number): Promise<void> {
    await this.database.db.updateTable('volumes').set({ size_bytes: sizeBytes }).where('id', '=', id).execute();
  }

  override async claim(id: string, machineId: string, db: Executor): Promise<boolean> {
    const result = await db
      .updateTable('volumes')
      .set({ machine_id: machineId })
      .where('id', '=', id)
      .where('machine_id', 'is', null)
      .where('state', '=', 'ready')
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  override async release(machineId: string, ids: string[], db: Executor): Promise<void> {
    if (ids.length > 0)
      await db.updateTable('volumes').set({ machine_id: null }).where('id', 'in', ids).where('machine_id', '=', machineId).execute();
  }

  override async remove(ids: string[], db: Executor): Promise<void> {
    if (ids.length > 0) await db.deleteFrom('volumes').where('id', 'in', ids).execute();
  }

  override async find(id: string, db: Executor = this.database.db): Promise<Volume | undefined> {
    const row = await db.selectFrom('volumes').selectAll().where('id', '=', id).executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  override async page(request: NamedPage): Promise<Volume[]> {
    return (await rowsOf(this.database.db.selectFrom('volumes').selectAll(), request).execute()).map(fromRow);
  }

  override async ids(): Promise<string[]> {
    return (await this.database.db.selectFrom('volumes').select('id').execute()).map((row) => row.id);
  }
}

function fromRow(row: Selectable<VolumesTable>): Volume {
  return {
    id: row.id,
    name: row.name,
    pool: row.pool,
    sizeBytes: row.size_bytes,
    format: row.format as VolumeFormat,
    state: row.state as VolumeState,
    createdAt: row.created_at,
    ...(row.backing_image === null ? {} : { backingImage: row.backing_image }),
    ...(row.machine_id === null ? {} : { machine: row.machine_id }),
  };
}
