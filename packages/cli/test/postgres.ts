// SPDX-License-Identifier: Apache-2.0
// The PostgreSQL that the orchestrator's own tests start. It is not exported by that package, which is published without its tests.
type Helper = typeof import('../../orchestrator/dist/test/support/postgres.js');

const { Postgres } = (await import(new URL('../../../orchestrator/dist/test/support/postgres.js', import.meta.url).href)) as Helper;

/** A server with one empty database. Without PostgreSQL the suite is skipped, visibly; REQUIRE_POSTGRES=1 makes that a failure. */
export async function startPostgres(suite: Mocha.Context): Promise<{ url: string; stop: () => Promise<void> }> {
  if (!Postgres.available()) {
    if (process.env['REQUIRE_POSTGRES'] === '1') throw new Error('PostgreSQL is required: install postgresql-15');
    suite.skip();
  }
  const postgres = await Postgres.start();
  return { url: postgres.createDatabase(), stop: () => postgres.stop() };
}
