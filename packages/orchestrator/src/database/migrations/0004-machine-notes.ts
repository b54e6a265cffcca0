// SPDX-License-Identifier: Apache-2.0
import type { Kysely } from 'kysely';

/** What people write about a machine, and whether it may be deleted. */
export async function up(db: Kysely<never>): Promise<void> {
  await db.schema
    .alterTable('machines' as never)
    .addColumn('notes', 'text', (column) => column.notNull().defaultTo(''))
    .execute();
  await db.schema
    .alterTable('machines' as never)
    .addColumn('protected', 'integer', (column) => column.notNull().defaultTo(0))
    .execute();
}
