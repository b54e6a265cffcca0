// SPDX-License-Identifier: Apache-2.0
import type Sqlite from 'better-sqlite3';
import {
  type DatabaseConnection,
  type DialectAdapter,
  type Driver,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  type SqliteStatement,
} from 'kysely';

/** Statements kept compiled. Lists of ids make ever new texts, hence a bound; the oldest goes first. */
const KEPT_STATEMENTS = 500;

/** Kysely's dialect for SQLite with compiled statements kept, and one connection that is handed on in turn. */
export class EmbeddedDialect extends SqliteDialect {
  constructor(private readonly handle: Sqlite.Database) {
    super({ database: handle });
  }

  override createDriver(): Driver {
    return new TurnDriver(this.handle);
  }

  override createAdapter(): DialectAdapter {
    return new TransactionalAdapter();
  }
}

/** SQLite takes back changes of tables with their transaction, too: a migration that is cut short leaves nothing. Kysely does not count on it. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true;
  }
}

/** Compiles each text once. Kysely runs a statement to its end at once, so none is ever in use twice. */
class KeptStatements implements SqliteDatabase {
  private readonly kept = new Map<string, SqliteStatement>();

  constructor(private readonly handle: Sqlite.Database) {}

  prepare(text: string): SqliteStatement {
    const known = this.kept.get(text);
    if (known !== undefined) return known;
    const statement = this.handle.prepare(text) as unknown as SqliteStatement;
    const [oldest] = this.kept.keys();
    if (oldest !== undefined && this.kept.size >= KEPT_STATEMENTS) this.kept.delete(oldest);
    this.kept.set(text, statement);
    return statement;
  }

  close(): void {
    this.kept.clear();
    this.handle.close();
  }
}

/** Hands the connection to the longest waiting: the lock of Kysely's driver wakes all who wait each time, which 200 requests at once feel. */
class TurnDriver extends SqliteDriver {
  private readonly waiting: (() => void)[] = [];
  private taken = false;

  constructor(private readonly handle: Sqlite.Database) {
    super({ database: new KeptStatements(handle) });
  }

  /** On a full disk SQLite has ended the transaction by itself; to end it again would be an error that hides that one. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.handle.inTransaction) await super.rollbackTransaction(connection);
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    if (this.taken) await new Promise<void>((resolve) => this.waiting.push(resolve));
    this.taken = true;
    return super.acquireConnection();
  }

  override async releaseConnection(): Promise<void> {
    await super.releaseConnection();
    const next = this.waiting.shift();
    if (next === undefined) this.taken = false;
    else next();
  }
}
