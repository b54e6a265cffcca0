// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from 'node:timers/promises';
import { sql, type Transaction } from 'kysely';
import type { Schema } from './schema.js';

/**
 * What a write must outlive before it answers. `disk`: also a power cut; for whatever a client is told because of it.
 * `process`: a kill of this process, not a power cut; for what only this process needs to go on, and for what a `disk`
 * write follows before anybody is told. Writes reach the disk in order: what a power cut takes is always the end of the
 * history, and with it went everything that ran on the host.
 */
export type Durability = 'disk' | 'process';

type Db = Transaction<Schema>;

/** One writer's part of a transaction. */
export interface Part {
  readonly durability: Durability;
  run(db: Db): Promise<void>;
  succeeded(): void;
  failed(error: unknown): void;
}

/** How a batch becomes one transaction. */
export interface BatchTarget<P extends Part> {
  transaction(parts: readonly P[], run: (db: Db) => Promise<void>): Promise<void>;
  /** Called inside the transaction, after its parts, with those that did not fail. */
  seal(parts: readonly P[], db: Db): Promise<void>;
  /** Resolves when everything committed so far is on the disk; soon, if nobody waits for it. */
  persisted(urgent: boolean): Promise<void>;
  /** Called when they are on the disk. */
  told(parts: readonly P[]): void;
}

/** A transaction takes at most so many parts, so that nobody waits long; PostgreSQL is slower beyond 64 savepoints. */
const MAX_PARTS = 60;

/**
 * Commits what is written at about the same time together: a commit costs more than the statements in it. One transaction
 * at a time, in the order of the calls; a part that fails is taken back alone (savepoint) and the others are kept.
 */
export class GroupCommit<P extends Part> {
  private readonly queue: P[] = [];
  private readonly persisting = new Set<Promise<void>>();
  private pumping: Promise<void> | undefined;

  constructor(private readonly target: BatchTarget<P>) {}

  add(part: P): void {
    this.queue.push(part);
    this.pumping ??= this.pump();
  }

  /** Resolves when nothing waits to be written. */
  async drained(): Promise<void> {
    while (this.pumping !== undefined || this.persisting.size > 0) await Promise.all([this.pumping, ...this.persisting]);
  }

  private async pump(): Promise<void> {
    while (this.queue.length > 0) {
      await nextTurn(); // others that became ready in this turn of the event loop come along
      await this.commit(this.queue.splice(0, MAX_PARTS));
    }
    this.pumping = undefined;
  }

  private async commit(parts: P[]): Promise<void> {
    const failures = new Map<P, unknown>();
    const kept = () => parts.filter((part) => !failures.has(part));
    try {
      await this.target.transaction(parts, async (db) => {
        for (const part of parts) await runPart(part, db, parts.length > 1, failures);
        await this.target.seal(kept(), db);
      });
    } catch (error) {
      for (const part of parts) part.failed(failures.get(part) ?? error);
      return;
    }
    for (const [part, error] of failures) part.failed(error);
    for (const part of kept()) if (part.durability === 'process') part.succeeded();
    const persisting = this.persist(kept()).finally(() => this.persisting.delete(persisting));
    this.persisting.add(persisting);
  }

  /** The next transaction does not wait for this. */
  private async persist(parts: P[]): Promise<void> {
    const waiting = parts.filter((part) => part.durability === 'disk');
    try {
      await this.target.persisted(waiting.length > 0);
    } catch (error) {
      for (const part of waiting) part.failed(error);
      return;
    }
    for (const part of waiting) part.succeeded();
    this.target.told(parts);
  }
}

/**
 * Alone in its transaction a part needs no savepoint: its error ends the transaction. Savepoints are not released, the commit
 * does that; of several with one name the last counts.
 */
async function runPart<P extends Part>(part: P, db: Db, shared: boolean, failures: Map<P, unknown>): Promise<void> {
  if (!shared) return part.run(db);
  await sql`savepoint part`.execute(db);
  try {
    await part.run(db);
  } catch (error) {
    failures.set(part, error);
    await sql`rollback to savepoint part`.execute(db).catch(() => {
      throw error; // the database has ended the transaction by itself, as SQLite does on a full disk: nothing of it is kept
    });
  }
}
