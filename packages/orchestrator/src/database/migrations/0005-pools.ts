// SPDX-License-Identifier: Apache-2.0
import { type CreateTableBuilder, type Kysely, sql } from 'kysely';
import { newId } from '../../common/ids.js';
import type { Schema } from '../schema.js';

const COLUMNS = {
  kind: 'text',
  autostart: 'integer',
  guard_percent: 'integer',
  generation: 'bigint',
  desired_state: 'text',
  observed: 'text',
  created_at: 'text',
  updated_at: 'text',
} as const;
/** The id of the one pool that there was. */
const ID = 'pool.default';

/** Pools as resources. The one that every installation has keeps its id, if anybody has asked for it. */
export async function up(db: Kysely<never>): Promise<void> {
  let table = (db.schema.createTable('pools') as unknown as CreateTableBuilder<string>)
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('config', 'text')
    .addColumn('overcommit_ratio', sql.raw('double precision'));
  for (const [name, type] of Object.entries(COLUMNS)) table = table.addColumn(name, sql.raw(type), (column) => column.notNull());
  await table.execute();
  await db.schema
    .createIndex('volumes_by_pool')
    .on('volumes' as never)
    .columns(['pool'] as never[])
    .execute();
  const stored = db as unknown as Kysely<Pick<Schema, 'meta' | 'pools'>>;
  const known = await stored.selectFrom('meta').select('value').where('key', '=', ID).executeTakeFirst();
  const now = new Date().toISOString();
  await stored
    .insertInto('pools')
    .values({
      id: known?.value ?? newId('poo'),
      name: 'default',
      kind: 'dir',
      config: null,
      autostart: 1,
      guard_percent: 0,
      overcommit_ratio: null,
      generation: 1,
      desired_state: 'started',
      observed: JSON.stringify({ state: 'ready', capabilities: ['linkedClones', 'resize'], guarded: false }),
      created_at: now,
      updated_at: now,
    })
    .execute();
  await stored.deleteFrom('meta').where('key', '=', ID).execute();
}
