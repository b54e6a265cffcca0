// SPDX-License-Identifier: Apache-2.0
import { sleep, untilDone } from '../common/async.js';

/** One number for PostgreSQL's advisory lock that an orchestrator holds while it lives. */
const ORCHESTRATOR_LOCK = 0x666c6f75;
/** The server needs a moment to see that the process before is dead. */
const TAKE = { attempts: 30, everyMilliseconds: 100 };
/** A server that is restarted is asked again after these waits, milliseconds. */
const RETRY = { first: 100, most: 2_000 };

/** Another orchestrator uses the database. */
export class DatabaseTaken extends Error {
  override name = 'DatabaseTaken';
  constructor() {
    super('Another orchestrator uses this database. Stop it first, or set FLOTILLA_DATABASE_URL to another one.');
  }
}

/**
 * One orchestrator for each PostgreSQL database: what a writer has checked holds only while nobody else writes. The lock is
 * that of a session, so the server lets go of it when the process dies, however it dies; one whose host is gone it notices
 * after half a minute.
 */
export class DatabaseLock {
  private readonly released = new AbortController();
  private end: () => Promise<void> = () => Promise.resolve();

  private constructor(
    private readonly url: string,
    private readonly lost: (error: DatabaseTaken) => void,
  ) {}

  /** Fails with `DatabaseTaken`. `lost` is called when another one has taken it while the server was away. */
  static async take(url: string, lost: (error: DatabaseTaken) => void): Promise<DatabaseLock> {
    const lock = new DatabaseLock(url, lost);
    await lock.connect();
    return lock;
  }

  async release(): Promise<void> {
    this.released.abort();
    await this.end();
  }

  private async connect(): Promise<void> {
    const { default: pg } = await import('pg');
    const client = new pg.Client({ connectionString: this.url, keepAlive: true, application_name: 'flotilla-orchestrator lock' });
    client.on('error', () => undefined); // 'end' follows
    await client.connect();
    try {
      await client.query('set tcp_keepalives_idle = 15; set tcp_keepalives_interval = 5; set tcp_keepalives_count = 3');
      await this.hold((text) => client.query<{ held: boolean }>(text));
    } catch (error) {
      await client.end();
      throw error;
    }
    this.end = () => client.end();
    client.on('end', () => this.again());
  }

  private async hold(query: (text: string) => Promise<{ rows: { held: boolean }[] }>): Promise<void> {
    for (let attempt = 0; attempt < TAKE.attempts; attempt += 1) {
      const { rows } = await query(`select pg_try_advisory_lock(${ORCHESTRATOR_LOCK}) as held`);
      if (rows[0]?.held === true) return;
      await sleep(TAKE.everyMilliseconds, this.released.signal);
    }
    throw new DatabaseTaken();
  }

  /** The session has ended, and the lock with it. */
  private again(): void {
    if (this.released.signal.aborted) return;
    const attempt = () =>
      this.connect().catch((error: unknown) => {
        if (!(error instanceof DatabaseTaken)) throw error;
        this.lost(error);
      });
    untilDone(attempt, this.released.signal, () => undefined, RETRY).catch(() => undefined); // rejects on a release alone
  }
}
