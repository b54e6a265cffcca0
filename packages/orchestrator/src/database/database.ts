// SPDX-License-Identifier: Apache-2.0
import { AsyncResource } from 'node:async_hooks';
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { type Insertable, Kysely, Migrator, PostgresDialect, sql, type Transaction } from 'kysely';
import { currentContext } from '../common/context.js';
import type { NewEvent } from '../common/event.js';
import { makePrivate } from '../common/private-directory.js';
import type { DialectName } from './dialect.js';
import { type BatchTarget, type Durability, GroupCommit, type Part } from './group-commit.js';
import { MIGRATIONS } from './migrations/index.js';
import type { Schema } from './schema.js';
import { EmbeddedDialect } from './sqlite.js';
import { WalSync } from './wal-sync.js';
import { systemCode } from '../common/system-code.js';

/** Reads with or without a transaction. */
export type Executor = Kysely<Schema>;

/** A transaction that writes; events emitted in it become visible exactly when it commits. */
export interface WriteTransaction {
  readonly db: Transaction<Schema>;
  emit(event: NewEvent): void;
}

/** One number for PostgreSQL's advisory lock that puts events in the order of their commits. */
const EVENT_ORDER_LOCK = 0x666c6f74;

type EventRow = Insertable<Schema['events']>;

/** A part that carries events. */
interface EventfulPart extends Part {
  readonly events: EventRow[];
}

/** What the two databases do differently about a commit. */
type Engine = Pick<BatchTarget<EventfulPart>, 'transaction' | 'persisted'> & { close?(): void };

/** The database of the control plane: embedded SQLite, or PostgreSQL. */
export class Database {
  private readonly committed = new Set<() => void>();
  private readonly commits: GroupCommit<EventfulPart>;

  private constructor(
    readonly db: Kysely<Schema>,
    readonly dialect: DialectName,
    private readonly engine: Engine,
  ) {
    this.commits = new GroupCommit<EventfulPart>({
      transaction: (parts, run) => engine.transaction(parts, run),
      persisted: (urgent) => engine.persisted(urgent),
      seal: (parts, db) =>
        this.appendEvents(
          db,
          parts.flatMap((part) => part.events),
        ),
      told: (parts) => {
        if (hasEvents(parts)) for (const notify of this.committed) notify();
      },
    });
  }

  /**
   * Opens (and makes) the embedded database. Under synchronous = FULL a commit waits for the disk, and the whole process
   * with it: 0.2 ms on an idle disk, 4 to 13 on a busy one. So `write` commits under NORMAL, which a kill of the process
   * cannot undo (the kernel has the log), and has the log synced by another thread; only who needs the disk waits for that.
   */
  static openSqlite(path: string): Database {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    makePrivate(path); // its log gets the same mode
    const handle = new SqliteDatabase(path);
    handle.pragma('journal_mode = WAL');
    handle.pragma('synchronous = FULL');
    handle.pragma('busy_timeout = 5000');
    const db = new Kysely<Schema>({ dialect: new EmbeddedDialect(handle) });
    const log = new WalSync(path);
    return new Database(db, 'sqlite', {
      persisted: (urgent) => log.persisted(urgent),
      close: () => log.close(),
      transaction: (_parts, run) =>
        db.connection().execute(async (connection) => {
          handle.pragma('synchronous = NORMAL');
          try {
            await connection.transaction().execute(run);
          } finally {
            handle.pragma('synchronous = FULL'); // for statements outside `write`
          }
        }),
    });
  }

  /** Connects to PostgreSQL. */
  static async openPostgres(url: string): Promise<Database> {
    const { default: pg } = await import('pg');
    const BIGINT = 20;
    pg.types.setTypeParser(BIGINT, Number);
    const pool = new pg.Pool({ connectionString: url, max: 10 });
    pool.on('error', () => undefined); // a lost idle connection is replaced at the next query
    const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
    return new Database(db, 'postgres', {
      persisted: () => Promise.resolve(), // a commit answers when it is on the disk, but for the one below
      transaction: (parts, run) =>
        db.transaction().execute(async (tx) => {
          await run(tx);
          const mayLag = parts.every((part) => part.durability === 'process') && !hasEvents(parts);
          if (mayLag) await sql`set local synchronous_commit = off`.execute(tx);
        }),
    });
  }

  /** Brings the schema up to date. */
  async migrate(): Promise<void> {
    const migrator = new Migrator({
      db: this.db,
      provider: {
        getMigrations: () =>
          Promise.resolve(Object.fromEntries(MIGRATIONS.map((one) => [one.name, { up: (db: Kysely<never>) => one.up(db, this.dialect) }]))),
      },
    });
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
  }

  /**
   * Runs a writing transaction, together with others that are asked for at about the same time. Use only `tx.db` inside, and
   * wait for nothing else: all writers wait meanwhile. Answers once the commit is as durable as asked (default: on the disk).
   */
  write<T>(run: (tx: WriteTransaction) => Promise<T>, durability: Durability = 'disk'): Promise<T> {
    const perform = AsyncResource.bind(run); // the context of the caller, not of whoever opens the transaction
    return new Promise<T>((resolve, reject) => {
      const events: EventRow[] = [];
      const emit = (event: NewEvent) => events.push(toRow(event, requestId));
      const requestId = currentContext()?.requestId ?? null;
      let value: T;
      const part: EventfulPart = {
        durability,
        events,
        run: async (db) => {
          value = await perform({ db, emit });
        },
        succeeded: () => resolve(value),
        failed: reject,
      };
      this.commits.add(part);
    });
  }

  /** Calls back after every commit that carried events, once they are on the disk. */
  onEvents(notify: () => void): () => void {
    this.committed.add(notify);
    return () => this.committed.delete(notify);
  }

  async close(): Promise<void> {
    await this.commits.drained();
    this.engine.close?.();
    await this.db.destroy();
  }

  private async appendEvents(db: Transaction<Schema>, events: EventRow[]): Promise<void> {
    if (events.length === 0) return;
    if (this.dialect === 'postgres') await sql`select pg_advisory_xact_lock(${sql.lit(EVENT_ORDER_LOCK)})`.execute(db);
    await db.insertInto('events').values(events).execute();
  }
}

function hasEvents(parts: readonly EventfulPart[]): boolean {
  return parts.some((part) => part.events.length > 0);
}

function toRow(event: NewEvent, requestId: string | null): EventRow {
  const { kind, target, data } = event;
  return {
    kind,
    time: new Date().toISOString(),
    target_kind: target.kind,
    target_id: target.id,
    target_name: target.name ?? null,
    data: JSON.stringify(data),
    request_id: requestId,
  };
}

/** Whether an error says that a unique column has the value already. */
export function isUniqueViolation(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'SQLITE_CONSTRAINT_UNIQUE' || code === 'SQLITE_CONSTRAINT_PRIMARYKEY' || code === '23505';
}
