// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable } from 'kysely';
import type { NamedPage } from '../../common/paging.js';
import type { PoolKind, PoolPlace } from '../../common/pool.js';
import { Database, type Executor } from '../../database/database.js';
import { isCalled, rowsOf } from '../../database/named.js';
import type { PoolsTable } from '../../database/schema.js';
import type { DesiredPoolState, Pool, PoolObserved } from './pool.js';

/** States in which a machine has no volume open, and will not without being started. */
const AT_REST = ['stopped', 'failed'];

/** Where pools are kept, and what is kept on them. */
export abstract class PoolRepository {
  abstract insert(pool: Pool, db: Executor): Promise<void>;
  abstract save(pool: Pool, db: Executor): Promise<void>;
  abstract remove(id: string, db: Executor): Promise<void>;
  abstract find(idOrName: string, db?: Executor): Promise<Pool | undefined>;
  abstract page(request: NamedPage): Promise<Pool[]>;
  abstract all(db?: Executor): Promise<Pool[]>;
  /** Names of the volumes in a pool, in the order in which they were made. */
  abstract volumesIn(name: string, db?: Executor): Promise<string[]>;
  /** Names of the machines that have volumes of a pool open, or may have. */
  abstract machinesOn(name: string, db: Executor): Promise<string[]>;
  /** How many volumes each pool has, and how many bytes these may come to hold; by the name of the pool. */
  abstract promises(db?: Executor): Promise<Map<string, { volumes: number; bytes: number }>>;
}

@Injectable()
export class KyselyPoolRepository extends PoolRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(pool: Pool, db: Executor): Promise<void> {
    await db.insertInto('pools').values(toRow(pool)).execute();
  }

  override async save(pool: Pool, db: Executor): Promise<void> {
    const { id, ...row } = toRow(pool);
    await db.updateTable('pools').set(row).where('id', '=', id).execute();
  }

  override async remove(id: string, db: Executor): Promise<void> {
    await db.deleteFrom('pools').where('id', '=', id).execute();
  }

  override async find(idOrName: string, db: Executor = this.database.db): Promise<Pool | undefined> {
    const named = db.selectFrom('pools').selectAll();
    const row = await named.where((w) => isCalled(w, idOrName)).executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  override async page(request: NamedPage): Promise<Pool[]> {
    return (await rowsOf(this.database.db.selectFrom('pools').selectAll(), request).execute()).map(fromRow);
  }

  override async all(db: Executor = this.database.db): Promise<Pool[]> {
    return (await db.selectFrom('pools').selectAll().orderBy('id').execute()).map(fromRow);
  }

  override async volumesIn(name: string, db: Executor = this.database.db): Promise<string[]> {
    return (await db.selectFrom('volumes').select('name').where('pool', '=', name).orderBy('id').execute()).map((row) => row.name);
  }

  override async machinesOn(name: string, db: Executor): Promise<string[]> {
    const rows = await db
      .selectFrom('volumes')
      .innerJoin('machines', 'machines.id', 'volumes.machine_id')
      .select('machines.name')
      .distinct()
      .where('volumes.pool', '=', name)
      .where('machines.observed_state', 'not in', AT_REST)
      .orderBy('machines.name')
      .execute();
    return rows.map((row) => row.name);
  }

  override async promises(db: Executor = this.database.db): Promise<Map<string, { volumes: number; bytes: number }>> {
    const rows = await db
      .selectFrom('volumes')
      .select((w) => ['pool', w.fn.countAll().as('volumes'), w.fn.sum('size_bytes').as('bytes')])
      // A shared volume is its image, which promises nothing that is not there.
      .where((w) => w.or([w('backing_image', 'is', null), w('format', '<>', 'raw')]))
      .groupBy('pool')
      .execute();
    return new Map(rows.map((row) => [row.pool, { volumes: Number(row.volumes), bytes: Number(row.bytes) }]));
  }
}

function toRow({ observed, ...pool }: Pool): PoolsTable {
  return {
    id: pool.id,
    name: pool.name,
    kind: pool.kind,
    config: pool.config === undefined ? null : JSON.stringify(pool.config),
    autostart: pool.autostart ? 1 : 0,
    guard_percent: pool.guardPercent,
    overcommit_ratio: pool.overcommitRatio ?? null,
    generation: pool.generation,
    desired_state: pool.desired,
    observed: JSON.stringify(observed),
    created_at: pool.createdAt,
    updated_at: pool.updatedAt,
  };
}

function fromRow(row: Selectable<PoolsTable>): Pool {
  return {
    id: row.id,
    name: row.name,
    kind: row.kind as PoolKind,
    autostart: row.autostart === 1,
    guardPercent: row.guard_percent,
    generation: row.generation,
    desired: row.desired_state as DesiredPoolState,
    observed: JSON.parse(row.observed) as PoolObserved,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    ...(row.config === null ? {} : { config: JSON.parse(row.config) as PoolPlace['config'] }),
    ...(row.overcommit_ratio === null ? {} : { overcommitRatio: row.overcommit_ratio }),
  };
}
