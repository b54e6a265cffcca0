// SPDX-License-Identifier: Apache-2.0
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { makePrivate } from './private-directory.js';
import { systemCode } from './system-code.js';

/** Another process holds the directory. */
export class DirectoryLocked extends Error {
  override name = 'DirectoryLocked';
  constructor(path: string) {
    super(`Another process uses ${path}. Stop it first, or set FLOTILLA_DATA_DIR to another directory.`);
  }
}

/**
 * An exclusive lock on a directory that the kernel releases when the process dies, however it dies.
 * Node has no file locks of its own; an exclusive SQLite transaction is one (POSIX record locks).
 */
export class DirectoryLock {
  private constructor(private readonly handle: SqliteDatabase.Database) {}

  static take(directory: string, name: string): DirectoryLock {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    makePrivate(join(directory, name)); // who may read it may hold a lock on it
    const handle = new SqliteDatabase(join(directory, name), { timeout: 0 });
    try {
      handle.pragma('journal_mode = DELETE');
      handle.exec('BEGIN EXCLUSIVE');
    } catch (error) {
      handle.close();
      if (systemCode(error) === 'SQLITE_BUSY') throw new DirectoryLocked(directory);
      throw error;
    }
    return new DirectoryLock(handle);
  }

  release(): void {
    if (this.handle.open) this.handle.close();
  }
}
