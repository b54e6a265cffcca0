// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/database/database.js';

/** An empty SQLite database for the whole `describe` that calls this; `opened` gets it before the first test. */
export function useSqlite(opened: (database: Database) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-spec-'));
  let database: Database | undefined;

  before(async () => {
    database = Database.openSqlite(join(directory, 'db'));
    await database.migrate();
    opened(database);
  });

  after(async () => {
    await database?.close();
    rmSync(directory, { recursive: true, force: true });
  });
}
