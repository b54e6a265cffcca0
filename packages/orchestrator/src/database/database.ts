// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { Kysely, Migrator, PostgresDialect, SqliteDialect, sql, type Transaction } from 'kysely';
import { currentContext } from '../common/context.js';
import type { NewEvent } from '../api/events/event.js';
import { MIGRATIONS } from './migrations/index.js';
import type { Schema } from './schema.js';

export type DialectName = 'sqlite' | 'postgres';
/** Reads with or without a transaction. */
export type Executor = Kysely<Schema>;

/** A transaction that writes; events emitted in it become visible exactly when it commits. */
export interface WriteTransaction {
  readonly db: Transaction<Schema>;
  emit(event: NewEvent): void;
}

/** One number for PostgreSQL's advisory lock that puts events in the order of their commits. */
const EVENT_ORDER_LOCK = 0x666c6f74;

/** The database of the control plane: embedded SQLite, or PostgreSQL. */
export class Database {
  private readonly committed = new Set<() => void>();

  private constructor(readonly db: Kysely<Schema>, readonly dialect: DialectName) {}

  /** Opens (and makes) the embedded database. Every commit is on the disk before it answers. */
  static openSqlite(path: string): Database {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const handle = new SqliteDatabase(path);
    handle.pragma('journal_mode = WAL');
    handle.pragma('synchronous = FULL');
    handle.pragma('busy_timeout = 5000');
    return new Database(new Kysely<Schema>({ dialect: new SqliteDialect({ database: handle }) }), 'sqlite');
  }

  /** Connects to PostgreSQL. */
  static async openPostgres(url: string): Promise<Database> {
    const { default: pg } = await import('pg');
    const BIGINT = 20;
    pg.types.setTypeParser(BIGINT, Number);
    const pool = new pg.Pool({ connectionString: url, max: 10 });
    pool.on('error', () => undefined); // a lost idle connection is replaced at the next query
    return new Database(new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) }), 'postgres');
  }

  /** Brings the schema up to date. */
  async migrate(): Promise<void> {
    const migrator = new Migrator({
      db: this.db,
      provider: { getMigrations: () => Promise.resolve(Object.fromEntries(MIGRATIONS.map((one) => [one.name, { up: (db: Kysely<never>) => one.up(db, this.dialect) }]))) },
    });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
  }

  /** Runs a writing transaction. Use only `tx.db` inside: SQLite has one connection. */
  async write<T>(run: (tx: WriteTransaction) => Promise<T>): Promise<T> {
    const events: NewEvent[] = [];
    const result = await this.db.transaction().execute(async (db) => {
      const value = await run({ db, emit: (event) => events.push(event) });
      await this.appendEvents(db, events);
      return value;
    });
    if (events.length > 0) for (const notify of this.committed) notify();
    return result;
  }

  /** Calls back after every commit that carried events. */
  onEvents(notify: () => void): () => void {
    this.committed.add(notify);
    return () => this.committed.delete(notify);
  }

  async close(): Promise<void> {
    await this.db.destroy();
  }

  private async appendEvents(db: Transaction<Schema>, events: NewEvent[]): Promise<void> {
    if (events.length === 0) return;
    if (this.dialect === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(EVENT_ORDER_LOCK)})`.execute(db);
    const time = new Date().toISOString();
    const requestId = currentContext()?.requestId ?? null;
    await db.insertInto('events').values(events.map((event) => ({
      kind: event.kind, time, target_kind: event.target.kind, target_id: event.target.id, target_name: event.target.name ?? null, data: JSON.stringify(event.data), request_id: requestId,
    }))).execute();
  }
}

/** Whether an error says that a unique column has the value already. */
export function isUniqueViolation(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === '23505';
}
