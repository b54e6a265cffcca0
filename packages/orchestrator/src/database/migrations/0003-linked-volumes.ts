// SPDX-License-Identifier: Apache-2.0
import type { Kysely } from 'kysely';

/** Volumes that hold what differs from an image, which therefore must stay. */
export async function up(db: Kysely<never>): Promise<void> {
  await db.schema
    .alterTable('volumes' as never)
    .addColumn('backing_image', 'text')
    .execute();
  await db.schema
    .createIndex('volumes_by_backing')
    .on('volumes' as never)
    .columns(['backing_image'] as never[])
    .execute();
}
