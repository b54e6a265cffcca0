// SPDX-License-Identifier: Apache-2.0
import { type Kysely, sql } from 'kysely';
import { looksLikeId } from '../../common/names.js';
import type { Schema } from '../schema.js';

type Stored = Pick<Schema, 'volumes' | 'pools'>;

/** Volumes as resources: their names tell them apart, and they know what they are copied from while they are made. */
export async function up(db: Kysely<never>): Promise<void> {
  const alter = () => db.schema.alterTable('volumes' as never);
  await alter()
    .addColumn('generation', sql.raw('bigint'), (column) => column.notNull().defaultTo(1))
    .execute();
  await alter().addColumn('source_id', 'text').execute();
  await renameTwins(db as unknown as Kysely<Stored>);
  await db.schema
    .createIndex('volumes_by_name')
    .on('volumes' as never)
    .columns(['name'] as never[])
    .unique()
    .execute();
  await db.schema
    .createIndex('volumes_by_source')
    .on('volumes' as never)
    .columns(['source_id'] as never[])
    .execute();
  await tellOfCapabilities(db as unknown as Kysely<Stored>);
}

/** Of volumes that were called the same the oldest keeps its name. */
async function renameTwins(db: Kysely<Stored>): Promise<void> {
  const taken = new Set<string>();
  for (const { id, name } of await db.selectFrom('volumes').select(['id', 'name']).orderBy('id').execute()) {
    const own = taken.has(name) || looksLikeId(name) ? `${name}-${id.slice(-8)}` : name;
    taken.add(own);
    if (own !== name) await db.updateTable('volumes').set({ name: own }).where('id', '=', id).execute();
  }
}

/** What the pool of every installation can do is stored once. */
async function tellOfCapabilities(db: Kysely<Stored>): Promise<void> {
  const pool = await db.selectFrom('pools').select('observed').where('name', '=', 'default').executeTakeFirst();
  if (pool === undefined) return;
  const observed = JSON.parse(pool.observed) as { capabilities: string[] };
  observed.capabilities = [...new Set([...observed.capabilities, 'qcow2', 'preallocation'])];
  await db
    .updateTable('pools')
    .set({ observed: JSON.stringify(observed) })
    .where('name', '=', 'default')
    .execute();
}
