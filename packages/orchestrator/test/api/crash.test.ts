// SPDX-License-Identifier: Apache-2.0
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { sql } from 'kysely';
import { Database } from '../../src/database/database.js';
import { onEachDatabase } from '../support/databases.js';
import { machine, Orchestrator } from '../support/orchestrator.js';

const CREATE = ['volumes', 'network', 'taps', 'worker', 'boot', 'observe'];
const DELETE = ['kill', 'release', 'volumes', 'console'];
const UNDO = ['boot', 'worker', 'taps', 'network', 'volumes'];
const points = (operation: string, steps: string[]) => [
  'operation.accept',
  ...steps.flatMap((step) => [`${operation}.${step}.begin`, `${operation}.${step}`]),
  `${operation}.end`,
];

onEachDatabase('kill -9', (makeDatabase, database) => {
  let flotilla: Orchestrator;
  let url = '';

  beforeEach(async () => {
    url = (await makeDatabase()) ?? '';
    flotilla = await new Orchestrator(url === '' ? undefined : url).start();
    await flotilla.importImages();
  });

  afterEach(() => flotilla.dispose());

  it('at every step of a create leaves the whole machine or nothing', async function () {
    this.timeout(180_000);
    for (const point of points('machine.create', CREATE)) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: point });
      await flotilla.call('POST', '/v1/machines', { body: machine('victim') }).catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla);
      const found = await flotilla.call('GET', '/v1/machines/victim');
      expect(found.status, point).to.equal(200);
      expect(found.body['observed']?.['state'], point).to.equal('running');
      expect(flotilla.leftovers().length, `${point}: ${flotilla.leftovers().join(' ')}`).to.equal(4); // worker, tap, network, volume
      const volumes = [...((await flotilla.call('GET', '/v1/volumes')).body['items'] ?? [])];
      expect(
        volumes.map((volume) => volume['state']),
        point,
      ).to.deep.equal(['ready']); // also when the step had run and its record was lost
      await flotilla.change('DELETE', '/v1/machines/victim?force=true');
      await flotilla.waitFor(`nothing is left after ${point}`, async () => flotilla.leftovers().length === 0);
    }
  });

  it('at every step of a create that is taken back leaves nothing', async function () {
    this.timeout(180_000);
    for (const step of UNDO) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: `machine.create.undo-${step}` });
      await flotilla
        .call('POST', '/v1/machines', { body: machine('victim', { boot: { kernel: 'k', commandLine: 'fake.fail=boot' } }) })
        .catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla);
      expect((await flotilla.call('GET', '/v1/machines/victim')).status, step).to.equal(404);
      await flotilla.waitFor(`nothing is left after undo of ${step}`, async () => flotilla.leftovers().length === 0);
    }
  });

  it('at every step of a delete leaves nothing', async function () {
    this.timeout(180_000);
    for (const point of points('machine.delete', DELETE)) {
      if (point !== 'operation.accept') {
        await flotilla.stop();
        await flotilla.start({ FLOTILLA_FAULT: point });
        await flotilla.change('POST', '/v1/machines', machine('victim'));
      } else {
        await flotilla.change('POST', '/v1/machines', machine('victim'));
        await flotilla.stop();
        await flotilla.start({ FLOTILLA_FAULT: point });
      }
      await flotilla.call('DELETE', '/v1/machines/victim?force=true').catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla);
      const left = await flotilla.call('GET', '/v1/machines/victim');
      expect(
        left.status,
        `${point}: ${JSON.stringify(left.body)} ${JSON.stringify([...((await flotilla.call('GET', '/v1/operations?limit=200')).body['items'] ?? [])].slice(-2))}`,
      ).to.equal(404);
      await flotilla.waitFor(`nothing is left after ${point}`, async () => flotilla.leftovers().length === 0);
    }
  });

  it('of the orchestrator leaves machines running; the next one adopts them', async () => {
    for (const name of ['a', 'b', 'c']) await flotilla.change('POST', '/v1/machines', machine(name));
    const before = (await flotilla.call('GET', '/v1/machines')).body['items'] ?? [];
    await flotilla.killHard();
    expect(flotilla.workers()).to.have.length(3);
    await flotilla.start();
    await flotilla.waitFor('ready', async () => (await flotilla.call('GET', '/health/ready', { key: null })).status === 200);
    const items = (await flotilla.call('GET', '/v1/machines')).body['items'] ?? [];
    expect([...items].map((item) => [item['id'], item['observed']?.['state'], item['observed']?.['workerPid']])).to.deep.equal(
      [...before].map((item) => [item['id'], 'running', item['observed']?.['workerPid']]),
    );
  });

  it('ends gracefully on SIGTERM, machines go on', async () => {
    await flotilla.change('POST', '/v1/machines', machine('stays'));
    expect(await flotilla.stop()).to.equal(0);
    expect(flotilla.workers()).to.have.length(1);
    expect(existsSync(join(flotilla.directory, 'data/orchestrator.json'))).to.equal(false);
    await flotilla.start();
  });

  it('ends gracefully on a SIGTERM in the middle of its start', async () => {
    const fresh = new Orchestrator(await makeDatabase());
    try {
      const { status, errors } = await fresh.expectExit({}, 'SIGTERM');
      expect([status, existsSync(join(fresh.directory, 'data/orchestrator.json'))]).to.deep.equal([0, false], errors);
    } finally {
      await fresh.dispose();
    }
  });

  it('starts machines again after the run directory was lost, when their policy says so', async () => {
    await flotilla.change('POST', '/v1/machines', machine('returns'));
    await flotilla.change('POST', '/v1/machines', machine('rests', { restartPolicy: { mode: 'never' } }));
    await flotilla.killHard();
    rmSync(join(flotilla.directory, 'run'), { recursive: true });
    await flotilla.start();
    await flotilla.waitFor(
      'running again',
      async () => (await flotilla.call('GET', '/v1/machines/returns')).body['observed']?.['state'] === 'running',
    );
    await flotilla.waitFor(
      'failed',
      async () => (await flotilla.call('GET', '/v1/machines/rests')).body['observed']?.['state'] === 'failed',
    );
  });

  if (database === 'PostgreSQL') {
    it('does not matter to the lock: one orchestrator per database, also after the server ended its sessions', async () => {
      const direct = await Database.openPostgres(url);
      const second = new Orchestrator(url);
      try {
        for (const lost of [false, true]) {
          if (lost) {
            const ended = sql`select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'`;
            await ended.execute(direct.db);
          }
          const { status, errors } = await second.expectExit();
          expect(status, errors).to.equal(2);
          expect(errors).to.contain('FLOTILLA_DATABASE_URL');
        }
        await flotilla.killHard();
        await second.start();
        expect((await second.call('GET', '/v1/images', { key: flotilla.key })).body['items']).to.have.length(2);
      } finally {
        await direct.close();
        await second.dispose();
      }
    });
  }

  if (database === 'SQLite') {
    it('does not matter to the lock: one orchestrator per data directory', async () => {
      const second = await flotilla.expectExit();
      expect(second.status).to.equal(2);
      expect(second.errors).to.contain('FLOTILLA_DATA_DIR');
      await flotilla.killHard();
      await flotilla.start();
    });

    it('answers a repeated request after the crash with the operation of the first', async () => {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: 'machine.create.volumes' });
      const headers = { 'idempotency-key': 'crashed' };
      await flotilla
        .call('POST', '/v1/machines', { body: machine('idem'), headers: { ...headers, prefer: 'wait=20' } })
        .catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      const again = await flotilla.call('POST', '/v1/machines', { body: machine('idem'), headers: { ...headers, prefer: 'wait=20' } });
      expect([again.status, again.body['state']]).to.deep.equal([200, 'succeeded']);
    });
  }
});

/** Waits until no operation is open. */
async function settled(flotilla: Orchestrator): Promise<void> {
  await flotilla.waitFor('all operations ended', async () => {
    for (const state of ['pending', 'running']) {
      // in this order: an operation that leaves the first is in the second
      const open = await flotilla.call('GET', `/v1/operations?state=${state}`);
      if (open.status !== 200 || [...(open.body['items'] ?? [])].length > 0) return false;
    }
    return true;
  });
}
