// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { pino } from 'pino';
import { Retention } from '../../src/api/retention/retention.service.js';
import { firstIdAt } from '../../src/common/ids.js';
import { type Config, readConfig } from '../../src/config/config.js';
import { Database } from '../../src/database/database.js';
import { onEachDatabase } from '../support/databases.js';
import { Orchestrator } from '../support/orchestrator.js';

const AUDIT = {
  actor: 'a',
  actor_id: null,
  permission: 'p',
  method: 'POST',
  path: '/',
  outcome: 'done',
  status: 200,
  code: null,
  request_id: 'r',
};
const DAY = 24 * 3600 * 1000;

onEachDatabase('retention', (makeDatabase) => {
  const directory = mkdtempSync(join(tmpdir(), 'flotilla-retention-'));
  let database: Database;

  beforeEach(async () => {
    const url = await makeDatabase();
    database = url === undefined ? Database.openSqlite(join(directory, `db-${Date.now()}`)) : await Database.openPostgres(url);
    await database.migrate();
  });

  afterEach(() => database.close());
  after(() => rmSync(directory, { recursive: true, force: true }));

  it('keeps the newest by count, in batches, and never touches what is open', async () => {
    await fill('operations', 1800, (index) => ({ age: DAY - index * 1000, state: index % 100 === 0 ? 'running' : 'succeeded' }));
    await fill('audit', 1800, (index) => ({ age: DAY - index * 1000 }));
    await prune({ FLOTILLA_KEEP_OPERATIONS: '300', FLOTILLA_KEEP_AUDIT: '200' });
    expect(await count('audit')).to.equal(200);
    const rows = await database.db.selectFrom('operations').select(['id', 'state']).orderBy('id').execute();
    expect(rows.filter((row) => row.state === 'running')).to.have.length(18);
    expect(rows.filter((row) => row.state !== 'running')).to.have.length(297); // the newest 300 rows hold three that are open
    await prune({ FLOTILLA_KEEP_OPERATIONS: '300', FLOTILLA_KEEP_AUDIT: '200' });
    expect([await count('operations'), await count('audit')]).to.deep.equal([315, 200]);
  });

  it('keeps what was done, however much was denied, refused or failed since', async () => {
    await fill('audit', 1200, (index) => ({
      age: DAY - index * 1000,
      outcome: index < 20 ? 'done' : (['denied', 'refused', 'failed'][index % 3] ?? ''),
    }));
    await prune({ FLOTILLA_KEEP_AUDIT: '50' });
    const rows = await database.db
      .selectFrom('audit')
      .select(['outcome', (w) => w.fn.countAll().as('count')])
      .groupBy('outcome')
      .orderBy('outcome')
      .execute();
    expect(rows.map((row) => `${row.count} ${row.outcome}`)).to.deep.equal(['50 denied', '20 done', '50 failed', '50 refused']);
  });

  it('keeps what was denied to somebody, however much was denied to nobody', async () => {
    await fill('audit', 300, (index) => ({
      age: DAY - index * 1000,
      outcome: index % 2 === 0 ? 'denied' : 'refused',
      ...(index < 20 ? { actor: 'key-insider' } : {}),
    }));
    await prune({ FLOTILLA_KEEP_AUDIT: '50' });
    const rows = await database.db
      .selectFrom('audit')
      .select(['outcome', 'actor_id', (w) => w.fn.countAll().as('count')])
      .groupBy(['outcome', 'actor_id'])
      .execute();
    expect(rows.map((row) => `${row.count} ${row.outcome} ${row.actor_id}`).sort()).to.deep.equal([
      '10 denied key-insider',
      '10 refused key-insider',
      '50 denied null',
      '50 refused null',
    ]);
  });

  it('drops what is too old, however few there are', async () => {
    await fill('operations', 4, (index) => ({ age: (index + 1) * 10 * DAY, state: 'failed' }));
    await fill('audit', 4, (index) => ({ age: (index + 1) * 10 * DAY }));
    await prune({ FLOTILLA_KEEP_OPERATIONS_DAYS: '25', FLOTILLA_KEEP_AUDIT_DAYS: '15' });
    expect([await count('operations'), await count('audit')]).to.deep.equal([2, 1]);
  });

  it('leaves what ended a moment ago to its client, whatever the count says', async () => {
    await fill('operations', 40, () => ({ age: 1000, state: 'succeeded' }));
    await prune({ FLOTILLA_KEEP_OPERATIONS: '10' });
    expect(await count('operations')).to.equal(40);
  });

  async function prune(environment: Record<string, string>): Promise<void> {
    await new Retention(database, readConfig(environment) satisfies Config, pino({ level: 'silent' })).prune();
  }

  async function count(table: 'operations' | 'audit'): Promise<number> {
    return Number(
      (
        await database.db
          .selectFrom(table)
          .select((w) => w.fn.countAll().as('count'))
          .executeTakeFirst()
      )?.count,
    );
  }

  async function fill(
    table: 'operations' | 'audit',
    rows: number,
    make: (index: number) => { age: number; state?: string; outcome?: string; actor?: string },
  ): Promise<void> {
    await database.db.transaction().execute(async (db) => {
      for (let index = 0; index < rows; index += 1) {
        const { age, state = 'succeeded', outcome = 'done', actor = null } = make(index);
        const time = new Date(Date.now() - age).toISOString();
        const suffix = String(index).padStart(16, '0');
        if (table === 'audit')
          await db
            .insertInto('audit')
            .values({ ...AUDIT, actor_id: actor, id: `${firstIdAt('req', Date.now() - age)}${suffix}`, time, outcome })
            .execute();
        else {
          await db
            .insertInto('operations')
            .values({
              id: `${firstIdAt('op', Date.now() - age)}${suffix}`,
              kind: 'machine.stop',
              target_kind: 'machine',
              target_id: 'm',
              target_name: null,
              state,
              phase: 'forward',
              steps: '[]',
              input: '{}',
              progress: null,
              result: null,
              error: null,
              cancel_requested: 0,
              created_at: time,
              started_at: null,
              ended_at: time,
              requested_by: 'a',
              request_id: null,
            })
            .execute();
        }
      }
    });
  }
});

describe('retention in the process', () => {
  it('runs by itself, and refuses bounds that make no sense', async () => {
    const flotilla = await new Orchestrator().start({ FLOTILLA_HOUSEKEEPING_MS: '100' });
    const database = Database.openSqlite(join(flotilla.directory, 'data/flotilla.db'));
    try {
      const time = Date.now() - 400 * DAY;
      await database.db
        .insertInto('audit')
        .values({ ...AUDIT, id: `${firstIdAt('req', time)}${'0'.repeat(16)}`, time: new Date(time).toISOString(), path: '/of/last/year' })
        .execute();
      await flotilla.call('POST', '/v1/keys', { body: { name: 'new', role: 'viewer' } });
      const shown = await flotilla.waitFor('the old record goes', async () => {
        const paths = [...((await flotilla.call('GET', '/v1/audit')).body['items'] ?? [])].map((row) => String(row['path']));
        return paths.includes('/of/last/year') ? undefined : paths;
      });
      expect(shown).to.deep.equal(['/v1/keys']);
      await flotilla.stop();
      const refused = await flotilla.expectExit({ FLOTILLA_KEEP_AUDIT: '0' });
      expect(refused).to.have.property('status', 2);
      expect(refused.errors).to.contain('FLOTILLA_KEEP_AUDIT');
    } finally {
      await database.close();
      await flotilla.dispose();
    }
  });
});
