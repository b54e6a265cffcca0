// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Image } from '../../src/api/images/image.js';
import { KyselyImageRepository } from '../../src/api/images/image.repository.js';
import type { Address, Network } from '../../src/api/networks/network.js';
import { KyselyNetworkRepository } from '../../src/api/networks/network.repository.js';
import type { Pool } from '../../src/api/pools/pool.js';
import { KyselyPoolRepository } from '../../src/api/pools/pool.repository.js';
import type { Volume } from '../../src/api/volumes/volume.js';
import { KyselyVolumeRepository } from '../../src/api/volumes/volume.repository.js';
import { newId } from '../../src/common/ids.js';
import type { Database } from '../../src/database/database.js';
import { onEachDatabase } from '../support/databases.js';
import { everything, isTaken, LARGE, NOW } from '../support/repositories.js';
import { useDatabase } from '../support/spec-database.js';

onEachDatabase('repositories of images, volumes and networks', (makeDatabase) => {
  let database: Database;

  useDatabase(makeDatabase, (opened) => {
    database = opened;
  });

  describe('images', () => {
    const make = (name: string, more: Partial<Image> = {}): Image => ({
      id: newId('img'),
      name,
      kind: 'disk',
      format: 'raw',
      sizeBytes: 0,
      sha256: '',
      state: 'importing',
      createdAt: NOW,
      labels: {},
      source: { path: '/a/path' },
      ...more,
    });
    const images = () => new KyselyImageRepository(database);

    it('come back as they were stored, by id and by name, and ready as they became', async () => {
      const image = make('stored', { labels: { team: 'red', os: 'linux' }, source: { upload: true } });
      await database.write((tx) => images().insert(image, tx.db));
      expect(await images().find(image.id)).to.deep.equal(image);
      expect(await images().find('stored')).to.deep.equal(image);
      await database.write((tx) => images().markReady(image.id, { sizeBytes: LARGE, sha256: 'f'.repeat(64) }, tx.db));
      const ready = { ...image, state: 'ready', sizeBytes: LARGE, sha256: 'f'.repeat(64) };
      expect(await images().find(image.id)).to.deep.equal(ready);
      expect(await isTaken(database.write((tx) => images().insert(make('stored'), tx.db)))).to.equal(true);
    });

    it('are listed in order, from where the page before ended, by name and by labels, and go with their labels', async () => {
      const [one, two] = [make('one', { labels: { team: 'blue' } }), make('two', { labels: { team: 'blue', n: '2' } })];
      for (const image of [one, two]) await database.write((tx) => images().insert(image, tx.db));
      const names = async (request: object) => (await images().page({ ...everything, ...request })).map((image) => image.name);
      expect(await names({})).to.deep.equal(['stored', 'one', 'two']);
      expect(await names({ after: one.id })).to.deep.equal(['two']);
      expect(await names({ limit: 1 }), 'one more than the page tells that there is another').to.have.length(2);
      expect(await names({ name: 'one' })).to.deep.equal(['one']);
      expect(await names({ labels: { team: 'blue' } })).to.deep.equal(['one', 'two']);
      expect(await names({ labels: { team: 'blue', n: '2' } })).to.deep.equal(['two']);
      await database.write((tx) => images().remove(two.id, tx.db));
      expect(await images().find('two')).to.equal(undefined);
      expect(await images().ids()).to.have.members([one.id, (await images().find('stored'))?.id]);
      expect(await database.db.selectFrom('labels').selectAll().where('resource_id', '=', two.id).execute()).to.deep.equal([]);
    });
  });

  describe('volumes', () => {
    const volumes = () => new KyselyVolumeRepository(database);
    const make = (name: string, more: Partial<Volume> = {}): Volume => ({
      id: newId('vol'),
      name,
      labels: {},
      generation: 1,
      pool: 'default',
      sizeBytes: 0,
      format: 'raw',
      state: 'creating',
      createdAt: NOW,
      ...more,
    });

    it('come back as they were stored, with and without a machine', async () => {
      const [held, free] = [make('held', { machine: 'mac-1' }), make('free')];
      for (const volume of [held, free]) await database.write((tx) => volumes().insert(volume, tx.db));
      expect(await volumes().find(held.id)).to.deep.equal(held);
      expect(await volumes().find(free.id)).to.deep.equal(free);
      await volumes().markReady(free.id, LARGE);
      expect(await volumes().find(free.id)).to.deep.equal({ ...free, state: 'ready', sizeBytes: LARGE });
      expect((await volumes().page({ ...everything, after: held.id })).map((one) => one.id)).to.deep.equal([free.id]);
      expect((await volumes().page({ ...everything, name: 'held' })).map((one) => one.id)).to.deep.equal([held.id]);
      await database.write((tx) => volumes().remove([held.id, free.id], tx.db));
      await database.write((tx) => volumes().remove([], tx.db));
      expect(await volumes().ids()).to.deep.equal([]);
    });

    it('that are based on an image say so, and which they are', async () => {
      const linked = [1, 2].map((number) => make(`linked-${number}`, { format: 'qcow2', backingImage: 'img-1' }));
      for (const volume of [...linked, make('other')]) await database.write((tx) => volumes().insert(volume, tx.db));
      for (const volume of linked) expect(await volumes().find(volume.id)).to.deep.equal(volume);
      const found = await new KyselyImageRepository(database).linkedVolumes('img-1');
      expect(found).to.deep.equal(linked.map(({ id, name }) => ({ id, name })));
      expect(await new KyselyImageRepository(database).linkedVolumes('img-2')).to.deep.equal([]);
      const all = await volumes().ids();
      await database.write((tx) => volumes().remove(all, tx.db));
    });

    it('are held by one machine at a time, and given back by that one only', async () => {
      const volume = make('wanted', { state: 'ready' });
      const unmade = make('unmade');
      for (const one of [volume, unmade]) await database.write((tx) => volumes().insert(one, tx.db));
      const claim = (id: string, machine: string) => database.write((tx) => volumes().claim(id, machine, tx.db));
      const claims = await Promise.all(['mac-1', 'mac-2', 'mac-3'].map((machine) => claim(volume.id, machine)));
      expect(claims.filter(Boolean)).to.have.length(1);
      expect(await claim(unmade.id, 'mac-1'), 'not before it is ready').to.equal(false);
      const holder = (await volumes().find(volume.id))?.machine ?? '';
      await database.write((tx) => volumes().release('mac-other', [volume.id], tx.db));
      expect((await volumes().find(volume.id))?.machine).to.equal(holder);
      await database.write((tx) => volumes().release(holder, [volume.id], tx.db));
      expect(await claim(volume.id, 'mac-4')).to.equal(true);
    });
  });

  describe('pools', () => {
    const pools = () => new KyselyPoolRepository(database);
    const make = (name: string, more: Partial<Pool> = {}): Pool => ({
      id: newId('poo'),
      name,
      kind: 'dir',
      config: { path: `/srv/${name}` },
      autostart: false,
      guardPercent: 5,
      generation: 3,
      desired: 'started',
      observed: { state: 'unavailable', reason: { code: 'c', detail: 'd', remedy: 'r' }, capabilities: ['resize'], guarded: true },
      createdAt: NOW,
      updatedAt: NOW,
      ...more,
    });

    it('are one from the start, and come back as they were stored', async () => {
      const [first, ...others] = await pools().all();
      expect(others).to.deep.equal([]);
      expect(first).to.deep.include({ name: 'default', kind: 'dir', autostart: true, desired: 'started' }).and.not.have.property('config');
      const pool = make('stored', { overcommitRatio: 1.25 });
      await database.write((tx) => pools().insert(pool, tx.db));
      expect(await pools().find(pool.id)).to.deep.equal(pool);
      expect(await pools().find('stored')).to.deep.equal(pool);
      const { overcommitRatio: _ratio, ...rest } = pool;
      const changed: Pool = { ...rest, autostart: true, observed: { state: 'stopped', capabilities: [], guarded: false } };
      await database.write((tx) => pools().save(changed, tx.db));
      expect(await pools().find('stored')).to.deep.equal(changed);
      expect(await isTaken(database.write((tx) => pools().insert(make('stored'), tx.db)))).to.equal(true);
      expect((await pools().page({ ...everything, name: 'stored' })).map((one) => one.id)).to.deep.equal([pool.id]);
      expect((await pools().page({ ...everything, after: first?.id ?? '' })).map((one) => one.id)).to.deep.equal([pool.id]);
      await database.write((tx) => pools().remove(pool.id, tx.db));
      expect(await pools().find('stored')).to.equal(undefined);
    });

    it('tell what their volumes promise, without those that are images', async () => {
      const volumes = new KyselyVolumeRepository(database);
      const volume = (name: string, more: Partial<Volume> = {}): Volume => ({
        id: newId('vol'),
        name,
        labels: {},
        generation: 1,
        pool: 'fast',
        sizeBytes: LARGE,
        format: 'raw',
        state: 'ready',
        createdAt: NOW,
        ...more,
      });
      const all = [
        volume('a'),
        volume('b', { format: 'qcow2', backingImage: 'img-1', sizeBytes: 1 }),
        volume('c', { backingImage: 'img-1' }),
        volume('d', { pool: 'other' }),
      ];
      for (const one of all) await database.write((tx) => volumes.insert(one, tx.db));
      const promises = await pools().promises();
      expect(promises.get('fast')).to.deep.equal({ volumes: 2, bytes: LARGE + 1 });
      expect(await pools().volumesIn('fast')).to.deep.equal(['a', 'b', 'c']);
      await database.write((tx) =>
        volumes.remove(
          all.map(({ id }) => id),
          tx.db,
        ),
      );
    });
  });

  describe('networks', () => {
    const networks = () => new KyselyNetworkRepository(database);
    const network: Network = {
      id: newId('net'),
      name: 'blue',
      kind: 'nat',
      ipv4: { subnet: '10.77.1.0/24', gateway: '10.77.1.1', dhcpRange: '10.77.1.2-10.77.1.254' },
      bridge: 'fl-blue',
      mtu: 9000,
      domain: 'blue.internal',
      isolateMachines: true,
      antiSpoofing: false,
      labels: { team: 'red' },
      state: 'pending',
      generation: 1,
      createdAt: NOW,
      updatedAt: NOW,
    };
    const address = (last: number, more: Partial<Address> = {}): Address => ({
      network: network.id,
      ip: `10.77.1.${last}`,
      mac: `02:00:00:00:00:${String(last).padStart(2, '0')}`,
      machine: 'mac-1',
      interface: `eth${last}`,
      ...more,
    });

    it('come back as they were stored, and in the state they came to', async () => {
      const insert = (one: Network) => database.write((tx) => networks().insert(one, tx.db));
      await insert(network);
      expect(await networks().find('blue')).to.deep.equal(network);
      await networks().setState(network.id, 'ready');
      expect(await networks().find(network.id)).to.deep.equal({ ...network, state: 'ready' });
      expect(await networks().all()).to.have.length(1);
      expect(await networks().page({ ...everything, name: 'blue' })).to.have.length(1);
      expect(await networks().page({ ...everything, after: network.id })).to.deep.equal([]);
      expect(await networks().page({ ...everything, labels: { team: 'blue' } })).to.deep.equal([]);
      const changed = { ...network, domain: 'other', labels: {}, generation: 2 };
      await database.write((tx) => networks().save(changed, tx.db));
      expect(await networks().find('blue')).to.deep.equal({ ...changed, state: 'ready' });
      expect(await isTaken(insert({ ...network, id: newId('net') }))).to.equal(true);
    });

    it('give each address once, in the order of numbers and not of texts, and take back those of a machine', async () => {
      const reserve = (one: Address) => database.write((tx) => networks().reserve(one, tx.db));
      for (const one of [address(10), address(9), address(8, { machine: 'mac-2' })]) await reserve(one);
      expect((await networks().addresses(network.id)).map((one) => one.ip)).to.deep.equal(['10.77.1.8', '10.77.1.9', '10.77.1.10']);
      expect(await database.write((tx) => networks().usedNumbers(network.id, tx.db))).to.deep.equal(
        [8, 9, 10].map((last) => 10 * 2 ** 24 + 77 * 2 ** 16 + 256 + last),
      );
      expect(await networks().addressesOf('mac-2')).to.deep.equal([address(8, { machine: 'mac-2' })]);
      expect(await isTaken(reserve(address(9, { mac: '02:00:00:00:00:99' }))), 'the same IP').to.equal(true);
      expect(await isTaken(reserve(address(11, { mac: address(9).mac }))), 'the same MAC').to.equal(true);
      await database.write((tx) => networks().releaseAll('mac-1', tx.db));
      expect((await networks().addresses(network.id)).map((one) => one.ip)).to.deep.equal(['10.77.1.8']);
    });
  });
});
