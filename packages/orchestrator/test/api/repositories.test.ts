// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { KyselyMachineRepository } from '../../src/api/machines/kysely-machine.repository.js';
import type { Machine } from '../../src/api/machines/machine.js';
import { EventRepository } from '../../src/api/events/event.repository.js';
import { newId } from '../../src/common/ids.js';
import { type Database, isUniqueViolation } from '../../src/database/database.js';
import { MIGRATIONS } from '../../src/database/migrations/index.js';
import { onEachDatabase } from '../support/databases.js';
import { useDatabase } from '../support/spec-database.js';

onEachDatabase('repositories', (makeDatabase) => {
  let database: Database;
  let machines: KyselyMachineRepository;

  useDatabase(makeDatabase, (opened) => {
    database = opened;
    machines = new KyselyMachineRepository(database);
  });

  it('may be migrated a second time, which changes nothing', () => database.migrate());

  it('give back a machine as it was stored', async () => {
    const stored = sample('stored', { team: 'red', run: '1' });
    await database.write((tx) => machines.insert(stored, ['img-1', 'img-1'], tx.db));
    expect(await machines.find('stored')).to.deep.equal(stored);
    expect(await machines.find(stored.id)).to.deep.equal(stored);
    expect(await machines.page({ limit: 10, labels: { team: 'red', run: '1' } })).to.have.length(1);
    expect(await machines.page({ limit: 10, labels: { team: 'blue' } })).to.have.length(0);
  });

  it('name the address of an interface as they do now, also of machines stored before', async () => {
    const old = sample('old');
    await database.write((tx) => machines.insert(old, [], tx.db));
    const observed = { ...old.observed, addresses: [{ interface: 'eth0', mac: '02:00:00:00:00:01', ip: '10.77.0.2' }] };
    await database.db
      .updateTable('machines')
      .set({ observed: JSON.stringify(observed) })
      .where('id', '=', old.id)
      .execute();
    for (const round of ['once', 'twice']) {
      await MIGRATIONS.find(({ name }) => name === '0002-addresses')?.up(database.db as never, database.dialect);
      expect((await machines.find('old'))?.observed.addresses, round).to.deep.equal([
        { interface: 'eth0', mac: '02:00:00:00:00:01', address: '10.77.0.2' },
      ]);
    }
  });

  it('keep the id of the pool that there was before there were others', async () => {
    const { db } = database;
    const put = async (id: string | undefined) => {
      await db.schema.dropIndex('volumes_by_pool').execute();
      await db.schema.dropTable('pools').execute();
      if (id !== undefined) await db.insertInto('meta').values({ key: 'pool.default', value: id }).execute();
      await MIGRATIONS.find(({ name }) => name === '0005-pools')?.up(db as never, database.dialect);
      return (await db.selectFrom('pools').select(['id', 'name']).execute()).map((row) => [row.name, row.id]);
    };
    const known = newId('poo');
    expect(await put(known)).to.deep.equal([['default', known]]);
    expect((await put(undefined))[0]?.[1])
      .to.match(/^poo-/)
      .and.not.equal(known);
  });

  it('give volumes names of their own that had the same, or one like an id, before names told them apart', async () => {
    const { db } = database;
    for (const index of ['volumes_by_name', 'volumes_by_source']) await db.schema.dropIndex(index).execute();
    for (const column of ['generation', 'source_id']) await db.schema.alterTable('volumes').dropColumn(column).execute();
    const ids = [1, 2, 3].map(() => newId('vol'));
    const names = ['twin', 'twin', newId('vol')];
    const row = { pool: 'default', size_bytes: 1, format: 'raw', state: 'ready', created_at: '', machine_id: null, backing_image: null };
    const values = ids.map((id, index) => ({ id, name: names[index] ?? '', ...row }));
    await db
      .insertInto('volumes')
      .values(values as never)
      .execute();
    await MIGRATIONS.find(({ name }) => name === '0006-volumes')?.up(db as never, database.dialect);
    const found = await db.selectFrom('volumes').select(['name', 'generation']).orderBy('id').execute();
    const suffix = (index: number) => `-${ids[index]?.slice(-8)}`;
    expect(found.map((one) => one.name)).to.deep.equal(['twin', `twin${suffix(1)}`, `${names[2]}${suffix(2)}`]);
    expect(found.map((one) => one.generation)).to.deep.equal([1, 1, 1]);
    await db.deleteFrom('volumes').execute();
  });

  it('tell a name that is taken from other errors', async () => {
    const error: unknown = await database
      .write((tx) => machines.insert(sample('stored'), [], tx.db))
      .then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
    expect(isUniqueViolation(error)).to.equal(true);
    expect(isUniqueViolation(new Error('x'))).to.equal(false);
  });

  it('undo everything of a transaction that fails, its events too', async () => {
    const events = new EventRepository(database);
    const before = await events.bounds();
    await database
      .write(async (tx) => {
        await machines.insert(sample('never'), [], tx.db);
        tx.emit({ kind: 'machine.deleted', target: { kind: 'machine', id: 'x' }, data: {} });
        throw new Error('stop');
      })
      .catch(() => undefined);
    expect(await machines.find('never')).to.equal(undefined);
    expect(await events.bounds()).to.deep.equal(before);
  });

  it('number events in the order of their commits, also when many write at once', async () => {
    const events = new EventRepository(database);
    const seen: number[] = [];
    let last = (await events.bounds()).last;
    const look = async () => {
      for (const event of await events.after(last, 1000)) {
        seen.push(event.id);
        last = event.id;
      }
    };
    await Promise.all(
      Array.from({ length: 60 }, (_, index) =>
        database
          .write((tx) => {
            tx.emit({ kind: 'machine.deleted', target: { kind: 'machine', id: `m${index}` }, data: {} });
            return Promise.resolve();
          })
          .then(look),
      ),
    );
    await look();
    expect(new Set(seen).size).to.be.at.least(60);
    await events.prune(10);
    const { first, last: end } = await events.bounds();
    expect(end - first).to.be.below(10);
  });
});

function sample(name: string, labels: Record<string, string> = {}): Machine {
  const now = new Date().toISOString();
  return {
    id: newId('mac'),
    name,
    labels,
    notes: '',
    protected: false,
    generation: 1,
    createdAt: now,
    updatedAt: now,
    desired: { state: 'running', generation: 1 },
    spec: {
      profile: 'standard',
      acpi: true,
      cpus: 1,
      memoryMiB: 64,
      boot: { kernel: 'img-1' },
      disks: [],
      interfaces: [],
      rng: true,
      isolation: 'process',
      onReboot: 'restart',
      onCrash: 'stop',
      restartPolicy: { mode: 'never', maxRetries: 0, backoffSeconds: 1 },
    },
    observed: { state: 'creating', generation: 1, restarts: 0, attempt: 0, addresses: [], disks: [] },
  };
}
