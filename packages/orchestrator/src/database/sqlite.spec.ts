// SPDX-License-Identifier: Apache-2.0
import Sqlite from 'better-sqlite3';
import { expect } from 'chai';
import { Kysely, Migrator } from 'kysely';
import { EmbeddedDialect } from './sqlite.js';

describe('The embedded database', () => {
  it('has nothing of a migration that is cut short, so that the next start makes it whole', async () => {
    const db = new Kysely<never>({ dialect: new EmbeddedDialect(new Sqlite(':memory:')) });
    let cut = true;
    const up = async (on: Kysely<never>): Promise<void> => {
      await on.schema.createTable('things').addColumn('id', 'text').execute();
      await on.schema
        .alterTable('things' as never)
        .addColumn('more', 'text')
        .execute();
      if (cut) throw new Error('the power is gone');
    };
    const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve({ first: { up } }) } });
    expect(String((await migrator.migrateToLatest()).error)).to.contain('the power is gone');
    expect((await db.introspection.getTables()).map(({ name }) => name)).not.to.include('things');
    cut = false;
    expect((await migrator.migrateToLatest()).error).to.equal(undefined);
    expect((await db.introspection.getTables()).map(({ name }) => name)).to.include('things');
    await db.destroy();
  });
});
