// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Database } from '../../src/database/database.js';
import type { MakeDatabase } from './databases.js';

/** An empty database for the whole `describe` that calls this; `opened` gets it before the first test. */
export function useDatabase(make: MakeDatabase, opened: (database: Database) => void): void {
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-spec-'));
  let database: Database | undefined;

  before(async () => {
    const url = await make();
    database = url === undefined ? Database.openSqlite(join(directory, 'db')) : await Database.openPostgres(url);
    await database.migrate();
    opened(database);
  });

  after(async () => {
    await database?.close();
    rmSync(directory, { recursive: true, force: true });
  });
}

/** The same on the embedded SQLite alone. */
export function useSqlite(opened: (database: Database) => void): void {
  useDatabase(() => Promise.resolve(undefined), opened);
}
