// SPDX-License-Identifier: Apache-2.0
import type { CreateTableBuilder, Kysely } from 'kysely';
import type { Schema } from '../schema.js';

const FORWARD_COLUMNS = {
  network_id: 'text',
  machine_id: 'text',
  interface: 'text',
  protocol: 'text',
  host_port: 'integer',
  guest_port: 'integer',
  created_at: 'text',
} as const;

/** Networks as resources that are defined and changed, and ports of the host that lead to machines on them. */
export async function up(db: Kysely<never>): Promise<void> {
  const table = () => db.schema.alterTable('networks' as never);
  await table()
    .addColumn('config', 'text', (column) => column.notNull().defaultTo('{}'))
    .execute();
  await table()
    .addColumn('generation', 'bigint', (column) => column.notNull().defaultTo(1))
    .execute();
  await table()
    .addColumn('updated_at', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  let forwards = (db.schema.createTable('forwards') as unknown as CreateTableBuilder<string>)
    .addColumn('id', 'text', (column) => column.primaryKey().notNull())
    .addColumn('host_address', 'text');
  for (const [name, type] of Object.entries(FORWARD_COLUMNS)) forwards = forwards.addColumn(name, type, (column) => column.notNull());
  await forwards.execute();
  for (const column of ['network_id', 'machine_id'])
    await db.schema
      .createIndex(`forwards_by_${column}`)
      .on('forwards' as never)
      .columns([column] as never[])
      .execute();
  const stored = db as unknown as Kysely<Pick<Schema, 'networks'>>;
  await stored
    .updateTable('networks')
    .set(({ ref }) => ({ updated_at: ref('created_at') }))
    .execute();
}
