// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import type { Labels } from '../../common/names.js';
import type { LabelledPage } from '../../common/paging.js';
import type { VolumeFormat } from '../../common/volume-storage.js';
import { Database, type Executor } from '../../database/database.js';
import { labelFilter, labelsOf, removeLabels, replaceLabels } from '../../database/labels.js';
import { isCalled, rowsOf } from '../../database/named.js';
import type { VolumesTable } from '../../database/schema.js';
import { spareName, type Volume, type VolumeState } from './volume.js';

/** Where volumes are kept. */
export abstract class VolumeRepository {
  abstract insert(volume: Volume, db: Executor): Promise<void>;
  /** Stores a volume that is made with a machine, by another name if that is taken. */
  abstract insertNamed(volume: Volume, db: Executor): Promise<void>;
  abstract markReady(id: string, sizeBytes: number, db?: Executor): Promise<void>;
  abstract resize(id: string, sizeBytes: number, db: Executor): Promise<void>;
  abstract setState(id: string, state: VolumeState, db: Executor): Promise<void>;
  /** It is a raw one in another pool from now on. */
  abstract move(id: string, to: Pick<Volume, 'pool' | 'sizeBytes'>, db: Executor): Promise<void>;
  /** Gives a free volume to a machine; false when another one holds it. */
  abstract claim(id: string, machineId: string, db: Executor): Promise<boolean>;
  abstract release(machineId: string, ids: string[], db: Executor): Promise<void>;
  abstract remove(ids: string[], db: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<Volume | undefined>;
  abstract page(request: LabelledPage): Promise<Volume[]>;
  abstract ids(): Promise<string[]>;
  /** A volume of these that another one is being copied from, and the name of that one. */
  abstract copied(ids: readonly string[], db: Executor): Promise<{ id: string; copy: string } | undefined>;
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
        source_id: volume.source ?? null,
        machine_id: volume.machine ?? null,
        state: volume.state,
        generation: volume.generation,
        created_at: volume.createdAt,
      })
      .execute();
    await replaceLabels(db, 'volume', volume.id, volume.labels);
  }

  override async insertNamed(volume: Volume, db: Executor): Promise<void> {
    const twin = await db.selectFrom('volumes').select('id').where('name', '=', volume.name).executeTakeFirst();
    await this.insert({ ...volume, name: spareName(volume, twin !== undefined) }, db);
  }

  override async markReady(id: string, sizeBytes: number, db: Executor = this.database.db): Promise<void> {
    await db.updateTable('volumes').set({ state: 'ready', size_bytes: sizeBytes, source_id: null }).where('id', '=', id).execute();
  }

  override async resize(id: string, sizeBytes: number, db: Executor): Promise<void> {
    await db
      .updateTable('volumes')
      .set((w) => ({ size_bytes: sizeBytes, generation: w('generation', '+', 1) }))
      .where('id', '=', id)
      .execute();
  }

  override async move(id: string, { pool, sizeBytes }: Pick<Volume, 'pool' | 'sizeBytes'>, db: Executor): Promise<void> {
    const moved = { pool, size_bytes: sizeBytes, format: 'raw', backing_image: null };
    await db.updateTable('volumes').set(moved).where('id', '=', id).execute();
  }

  override async setState(id: string, state: VolumeState, db: Executor): Promise<void> {
    await db
      .updateTable('volumes')
      .set((w) => ({ state, generation: w('generation', '+', 1) }))
      .where('id', '=', id)
      .execute();
  }

  override async claim(id: string, machineId: string, db: Executor): Promise<boolean> {
    const result = await db
      .updateTable('volumes')
      .set((w) => ({ machine_id: machineId, generation: w('generation', '+', 1) }))
      .where('id', '=', id)
      .where('machine_id', 'is', null)
      .where('state', '=', 'ready')
      .executeTakeFirst();
    return result.numUpdatedRows === 1n;
  }

  override async release(machineId: string, ids: string[], db: Executor): Promise<void> {
    if (ids.length === 0) return;
    await db
      .updateTable('volumes')
      .set((w) => ({ machine_id: null, generation: w('generation', '+', 1) }))
      .where('id', 'in', ids)
      .where('machine_id', '=', machineId)
      .execute();
  }

  override async remove(ids: string[], db: Executor): Promise<void> {
    for (const id of ids) await removeLabels(db, 'volume', id);
    if (ids.length > 0) await db.deleteFrom('volumes').where('id', 'in', ids).execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<Volume | undefined> {
    const named = db.selectFrom('volumes').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : (await this.withLabels([row], db))[0];
  }

  override async page(request: LabelledPage): Promise<Volume[]> {
    let query = rowsOf(this.database.db.selectFrom('volumes').selectAll(), request);
    for (const filter of labelFilter(this.database.db, 'volume', request.labels)) query = query.where('id', 'in', filter);
    return this.withLabels(await query.execute(), this.database.db);
  }

  override async ids(): Promise<string[]> {
    return (await this.database.db.selectFrom('volumes').select('id').execute()).map((row) => row.id);
  }

  override async copied(ids: readonly string[], db: Executor): Promise<{ id: string; copy: string } | undefined> {
    if (ids.length === 0) return undefined;
    const row = await db.selectFrom('volumes').select(['source_id', 'name']).where('source_id', 'in', ids).orderBy('id').executeTakeFirst();
    return row?.source_id === undefined || row.source_id === null ? undefined : { id: row.source_id, copy: row.name };
  }

  private async withLabels(rows: Selectable<VolumesTable>[], db: Executor): Promise<Volume[]> {
    const labels = await labelsOf(
      db,
      'volume',
      rows.map((row) => row.id),
    );
    return rows.map((row) => fromRow(row, labels.get(row.id) ?? {}));
  }
}

function fromRow(row: Selectable<VolumesTable>, labels: Labels): Volume {
  return {
    id: row.id,
    name: row.name,
    labels,
    pool: row.pool,
    sizeBytes: row.size_bytes,
    format: row.format as VolumeFormat,
    state: row.state as VolumeState,
    generation: row.generation,
    createdAt: row.created_at,
    ...(row.backing_image === null ? {} : { backingImage: row.backing_image }),
    ...(row.source_id === null ? {} : { source: row.source_id }),
    ...(row.machine_id === null ? {} : { machine: row.machine_id }),
  };
}
