// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL that the orchestrator's own tests start. It is not exported by that package, which is published without its tests.
type Helper = typeof import('../../orchestrator/dist/test/support/postgres.js');

const { Postgres } = (await import(new URL('../../../orchestrator/dist/test/support/postgres.js', import.meta.url).href)) as Helper;

/** The address of an empty database on a server that ends with this process. Without PostgreSQL the suite is skipped, visibly; REQUIRE_POSTGRES=1 makes that a failure. */
export async function emptyDatabase(suite: Mocha.Context): Promise<string> {
  if (!Postgres.available()) {
    if (process.env['REQUIRE_POSTGRES'] === '1') throw new Error('PostgreSQL is required: install postgresql-15');
    suite.skip();
  }
  return (await Postgres.start()).createDatabase();
}
