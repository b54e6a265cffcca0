// SPDX-License-Identifier: Apache-2.0
import type { Database } from './database.js';

/** A stored value of the installation itself; made by `make` the first time. */
export async function metaValue(database: Database, key: string, make: () => string): Promise<string> {
  const row = await database.db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst();
  if (row !== undefined) return row.value;
  const value = make();
  await database.db.insertInto('meta').values({ key, value }).execute();
  return value;
}

/** Stores a value and answers the one before. */
export async function exchangeMeta(database: Database, key: string, value: string): Promise<string | undefined> {
  const row = await database.db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst();
  if (row === undefined) await database.db.insertInto('meta').values({ key, value }).execute();
  else await database.db.updateTable('meta').set({ value }).where('key', '=', key).execute();
  return row?.value;
}
