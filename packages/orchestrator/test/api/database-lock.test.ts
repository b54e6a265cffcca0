// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { sql } from 'kysely';
import { Database } from '../../src/database/database.js';
import { DatabaseLock, DatabaseTaken } from '../../src/database/database-lock.js';
import { onEachDatabaseOverTcp } from '../support/databases.js';

// The embedded database is in the data directory, which has a lock of its own: crash.test.ts.
onEachDatabaseOverTcp('the lock of a database', (makeDatabase, name) => {
  if (name === 'SQLite') return;

  it('is given to one, and to the next once that has let go', async () => {
    const url = (await makeDatabase()) ?? '';
    const first = await DatabaseLock.take(url, () => undefined);
    const second = await DatabaseLock.take(url, () => undefined).catch((error: unknown) => error);
    expect(second).to.be.instanceOf(DatabaseTaken);
    await first.release();
    await (await DatabaseLock.take(url, () => undefined)).release();
  });

  it('tells its holder when another one took it while the server had ended the session', async () => {
    const url = (await makeDatabase()) ?? '';
    const other = await Database.openPostgres(url);
    let lost: unknown;
    const lock = await DatabaseLock.take(url, (error) => {
      lost = error;
    });
    try {
      await other.db.connection().execute(async (session) => {
        const { rows } = await sql<{ pid: number; objid: number }>`select pid, objid from pg_locks where locktype = 'advisory'`.execute(
          other.db,
        );
        const waiting = sql`select pg_advisory_lock(${sql.lit(rows[0]?.objid ?? 0)})`.execute(session);
        await sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(other.db);
        await waiting;
        for (const deadline = Date.now() + 10_000; lost === undefined && Date.now() < deadline; )
          await new Promise((resolve) => setTimeout(resolve, 50));
      });
      expect(lost).to.be.instanceOf(DatabaseTaken);
    } finally {
      await lock.release();
      await other.close();
    }
  });
});
