// SPDX-License-Identifier: Apache-2.0
import { Postgres } from './postgres.js';

let postgres: Promise<Postgres> | undefined;

/** The databases every suite runs on. */
export type DatabaseName = 'SQLite' | 'PostgreSQL';

/** A new database: a URL for PostgreSQL, nothing for the embedded SQLite. */
export type MakeDatabase = () => Promise<string | undefined>;

type Suite = (make: MakeDatabase, name: DatabaseName) => void;

/** The same with a PostgreSQL that is reached as one on another host is. */
export function onEachDatabaseOverTcp(title: string, suite: Suite): void {
  onEachDatabase(title, suite, 'tcp');
}

/** Declares a suite once for each database. Without PostgreSQL its half is skipped, visibly; REQUIRE_POSTGRES=1 makes that a failure. */
export function onEachDatabase(title: string, suite: Suite, over: 'socket' | 'tcp' = 'socket'): void {
  describe(`${title} on SQLite`, () => suite(() => Promise.resolve(undefined), 'SQLite'));
  describe(`${title} on PostgreSQL`, () => {
    before(function () {
      if (Postgres.available()) return;
      if (process.env['REQUIRE_POSTGRES'] === '1') throw new Error('PostgreSQL is required: install postgresql-15');
      this.skip();
    });
    suite(async () => (await sharedPostgres()).createDatabase(over), 'PostgreSQL');
  });
}

/** One for all suites of a process, until it ends: mocha runs files in several processes, and each of them many files. */
function sharedPostgres(): Promise<Postgres> {
  postgres ??= Postgres.start();
  return postgres;
}
