// SPDX-License-Identifier: Apache-2.0
import type { Database } from './database.js';

/** A stored value of the installation itself; made by `make` the first time. */
export async function metaValue(database: Database, key: string, make: () => string): Promise<string> {
  const known = await storedMeta(database, key);
  if (known !== undefined) return known;
  // Another process may be as far: the first value stands.
  await database.db
    .insertInto('meta')
    .values({ key, value: make() })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .execute();
  return (await database.db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirstOrThrow()).value;
}

/** A stored value, when there is one. */
export async function storedMeta(database: Database, key: string): Promise<string | undefined> {
  return (await database.db.selectFrom('meta').select('value').where('key', '=', key).executeTakeFirst())?.value;
}

/** Stores a value in place of the one before. */
export async function setMeta(database: Database, key: string, value: string): Promise<void> {
  await database.db
    .insertInto('meta')
    .values({ key, value })
    .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
    .execute();
}
