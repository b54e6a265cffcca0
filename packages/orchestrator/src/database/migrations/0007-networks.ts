// SPDX-License-Identifier: Apache-2.0
import type { Kysely } from 'kysely';
import type { Schema } from '../schema.js';

/** Networks as resources that are defined and changed. */
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
  const stored = db as unknown as Kysely<Pick<Schema, 'networks'>>;
  await stored
    .updateTable('networks')
    .set(({ ref }) => ({ updated_at: ref('created_at') }))
    .execute();
}
