// SPDX-License-Identifier: Apache-2.0
import { closeSync, fdatasync, openSync } from 'node:fs';
import { promisify } from 'node:util';

const sync = promisify(fdatasync);

/** What nobody waits for is synced along with the next who does, or after this time. */
const LAZY_MILLISECONDS = 20;

interface Round {
  promise: Promise<void>;
  resolve(): void;
  reject(error: unknown): void;
  timer: NodeJS.Timeout;
}

/**
 * Brings the write-ahead log of SQLite to the disk without making the process wait, as a commit under synchronous = FULL
 * would. SQLite appends a transaction to the log when it commits; once the log is synced, so is the transaction. Only the
 * log is opened here: SQLite's locks are on other files and would be lost if one of those were closed.
 */
export class WalSync {
  private descriptor: number | undefined;
  /** All who ask before it begins share the next sync. */
  private next: Round | undefined;
  private running = false;
  private wanted = false;

  constructor(private readonly databasePath: string) {}

  /** To be called after a commit. Resolves when all that was in the log at the call is on the disk. */
  persisted(urgent: boolean): Promise<void> {
    this.next ??= makeRound(() => this.hurry());
    const { promise } = this.next;
    if (urgent) this.hurry();
    return promise;
  }

  close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }

  private hurry(): void {
    this.wanted = true;
    if (!this.running) void this.work();
  }

  private async work(): Promise<void> {
    this.running = true;
    for (let round = this.take(); round !== undefined; round = this.take()) {
      try {
        this.descriptor ??= openSync(`${this.databasePath}-wal`, 'r'); // the same file as long as the database is open
        await sync(this.descriptor);
        round.resolve();
      } catch (error) {
        round.reject(error);
      }
    }
    this.running = false;
  }

  private take(): Round | undefined {
    const round = this.wanted ? this.next : undefined;
    this.wanted = false;
    if (round === undefined) return undefined;
    clearTimeout(round.timer);
    this.next = undefined;
    return round;
  }
}

function makeRound(late: () => void): Round {
  let settle: Pick<Round, 'resolve' | 'reject'> | undefined;
  const promise = new Promise<void>((resolve, reject) => {
    settle = { resolve, reject };
  });
  promise.catch(() => undefined); // whoever asked sees it too
  return {
    promise,
    timer: setTimeout(late, LAZY_MILLISECONDS),
    resolve: () => settle?.resolve(),
    reject: (error) => settle?.reject(error),
  };
}
