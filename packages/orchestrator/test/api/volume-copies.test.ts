// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';
import { settled } from '../support/pool-faults.js';

const MEBIBYTE = 2 ** 20;
const EXTENT = 65_536;
const wait = { prefer: 'wait=60' };
const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);

onEachDatabase('copies of volumes', (makeDatabase) => {
  let flotilla: Orchestrator;
  const at = (...names: string[]) => join(flotilla.directory, ...names);
  const ask = (body: Record<string, unknown>, headers: Record<string, string> = wait) =>
    flotilla.call('POST', '/v1/volumes', { body, headers });
  const get = async (volume: unknown): Promise<Body> => (await flotilla.call('GET', `/v1/volumes/${String(volume)}`)).body;
  const make = async (name: string, more: Record<string, unknown>): Promise<Body> => {
    const { body } = await ask({ name, ...more });
    expect(body['state'], JSON.stringify(body)).to.equal('succeeded');
    return get(name);
  };
  const places: Record<string, () => string> = {
    default: () => at('data/host/pools/default/volumes'),
    fast: () => at('fast/volumes'),
    far: () => at('run/fake/exports', encodeURIComponent('nas:/srv'), 'volumes'),
    thin: () => at('run/fake/groups/vg0'),
    thick: () => at('run/fake/groups/vg0'),
  };
  const file = (volume: Body) => join(places[String(volume['pool'])]?.() ?? '', String(volume['id']));

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
    mkdirSync(at('run/fake/exports', encodeURIComponent('nas:/srv')), { recursive: true });
    mkdirSync(at('run/fake/groups/vg0'), { recursive: true });
    const thinPool = { name: 'tp', role: 'thin-pool', zeroes: true, dataPercent: 10, metadataPercent: 20 };
    const volumes = [{ sizeBytes: 4096 * EXTENT, tags: [], active: true, health: 'well', ...thinPool }];
    const group = { name: 'vg0', sizeBytes: 10_000 * EXTENT, freeBytes: 4096 * EXTENT, extentBytes: EXTENT, tags: [], volumes };
    writeFileSync(at('run/fake/groups/vg0/group.json'), JSON.stringify(group));
  });
  afterEach(() => flotilla.dispose());

  it('are whole in a pool of any kind, from a pool of any kind', async () => {
    const lvmThin = { volumeGroup: 'vg0', thinPool: 'tp' };
    await flotilla.change('POST', '/v1/pools', { name: 'fast', kind: 'dir', dir: { path: at('fast') } });
    await flotilla.change('POST', '/v1/pools', { name: 'far', kind: 'nfs', nfs: { server: 'nas', path: '/srv' } });
    await flotilla.change('POST', '/v1/pools', { name: 'thin', kind: 'lvm-thin', lvmThin });
    await flotilla.change('POST', '/v1/pools', { name: 'thick', kind: 'lvm', lvm: { volumeGroup: 'vg0' } });
    for (const pool of Object.keys(places)) await make(`of-${pool}`, { pool, from: { image: 'd' }, sizeMiB: 4 });
    await make('linked', { from: { image: 'd', clone: 'linked' }, sizeMiB: 4 });
    for (const source of [...Object.keys(places).map((pool) => `of-${pool}`), 'linked']) {
      for (const pool of Object.keys(places)) {
        const what = `${source} into ${pool}`;
        const copy = await make('copy', { pool, from: { volume: source } });
        expect(copy, what)
          .to.include({ format: 'raw', sizeBytes: 4 * MEBIBYTE, pool, state: 'ready' })
          .and.not.have.property('backingImage');
        const content = readFileSync(file(copy));
        expect([content.length, content[0], content[65_535]], what).to.deep.equal([4 * MEBIBYTE, 7, 7]);
        expect(
          content.subarray(65_536).every((byte) => byte === 0),
          what,
        ).to.equal(true);
        if (!['thick', 'thin'].includes(pool)) expect(statSync(file(copy)).blocks * 512, what).to.be.below(2 * MEBIBYTE);
        await flotilla.change('DELETE', '/v1/volumes/copy');
      }
    }
    expect(await make('larger', { from: { volume: 'of-far' }, sizeMiB: 6, preallocate: 'full' })).to.include({ sizeBytes: 6 * MEBIBYTE });
    expect(statSync(file(await get('larger'))).blocks * 512).to.be.at.least(6 * MEBIBYTE);
    expect(refusal(await ask({ name: 'small', from: { volume: 'larger' }, sizeMiB: 1 }))).to.deep.equal([
      422,
      'spec.disk_invalid',
      'sizeMiB',
    ]);
    await flotilla.change('DELETE', '/v1/volumes/linked');
    await flotilla.change('DELETE', '/v1/images/d');
  });

  it('are made of a machine that is stopped, which stays so meanwhile, and of its disks', async () => {
    const disks = [{ name: 'root', sizeMiB: 1024 }];
    await flotilla.change('POST', '/v1/machines', machine('m', { disks, restartPolicy: { mode: 'never' } }));
    expect(refusal(await ask({ name: 'no', from: { volume: 'm-root' } }))).to.deep.equal([409, 'volume.in_use', 'from.volume']);
    await flotilla.change('POST', '/v1/machines/m/kill', {});
    const { body } = await ask({ name: 'copy', from: { volume: 'm-root' }, preallocate: 'full' }, {});
    const operation = async () => (await flotilla.call('GET', `/v1/operations/${body['id']}`)).body;
    const told = await flotilla.waitFor<Body>('its rate', async () => {
      const seen = await operation();
      return seen['progress']?.['bytesPerSecond'] === undefined ? undefined : seen;
    });
    expect(told['progress']?.['totalBytes']).to.equal(1024 * MEBIBYTE);
    const act = (method: string, path: string, given?: unknown) =>
      flotilla.call(method, path, { ...(given === undefined ? {} : { body: given }), headers: wait });
    for (const [method, path, given] of [
      ['POST', '/v1/machines/m/start', {}],
      ['DELETE', '/v1/machines/m?force=true', undefined],
      ['DELETE', '/v1/machines/m/disks/root?deleteVolume=true', undefined],
      ['PATCH', '/v1/volumes/m-root', { sizeMiB: 2048 }],
    ] as const)
      expect((await act(method, path, given)).body['code'], path).to.equal('volume.locked');
    expect((await act('DELETE', '/v1/machines/m/disks/root')).body['state']).to.equal('succeeded');
    expect(refusal(await act('DELETE', '/v1/volumes/m-root'))).to.deep.equal([409, 'volume.locked']);
    const taker = machine('n', { disks: [{ name: 'root', volume: 'm-root' }] });
    expect(refusal(await act('POST', '/v1/machines', taker))).to.deep.equal([409, 'volume.locked', 'disks[0].volume']);
    await flotilla.call('POST', `/v1/operations/${body['id']}/cancel`, { body: {} });
    await settled(flotilla, 'the cancel');
    expect([(await operation())['state'], (await get('copy'))['code']]).to.deep.equal(['cancelled', 'volume.not_found']);
    expect(flotilla.leftovers().filter((one) => one.startsWith('vol-') || one.startsWith('.'))).to.deep.equal([
      (await get('m-root'))['id'],
    ]);
    await flotilla.change('POST', '/v1/machines', taker);
  });

  it('are whole or not there when the orchestrator is killed', async () => {
    await make('source', { from: { image: 'd' } });
    for (const point of ['volume.begin', 'volume', 'end']) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: `volume.create.${point}` });
      await ask({ name: 'copy', from: { volume: 'source' } }).catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      const copy = await get('copy');
      expect(readFileSync(file(copy)).equals(Buffer.alloc(65_536, 7)), point).to.equal(true);
      await flotilla.change('DELETE', '/v1/volumes/copy');
      expect([existsSync(file(copy)), readdirSync(at('data/host/pools/default/volumes')).length], point).to.deep.equal([false, 1]);
    }
    await flotilla.change('DELETE', '/v1/volumes/source');
    expect(flotilla.leftovers()).to.deep.equal([]);
  });

  it('take the place of a volume that moves, wherever the orchestrator is killed, and its machine finds it there', async () => {
    await flotilla.change('POST', '/v1/pools', { name: 'fast', kind: 'dir', dir: { path: at('fast') } });
    await flotilla.change('POST', '/v1/pools', { name: 'thick', kind: 'lvm', lvm: { volumeGroup: 'vg0' } });
    const disks = [{ name: 'root', image: 'd', clone: 'linked', sizeMiB: 1 }];
    await flotilla.change('POST', '/v1/machines', machine('m', { start: false, disks }));
    const { id } = await get('m-root');
    const move = (pool: string) => flotilla.call('POST', '/v1/volumes/m-root/move', { body: { pool }, headers: wait });
    const steps = ['clear', 'copy', 'switch', 'remove'].flatMap((step) => [`${step}.begin`, step]);
    const ways = ['fast', 'thick', 'default'];
    for (const [index, point] of [...steps, 'end'].entries()) {
      const pool = ways[index % ways.length] ?? '';
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: `volume.move.${point}` });
      await move(pool).catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      const moved = await get('m-root');
      expect(moved, point)
        .to.include({ id, pool, state: 'ready', format: 'raw', sizeBytes: MEBIBYTE })
        .and.not.have.property('backingImage');
      const content = readFileSync(file(moved));
      expect([content.length, content[0], content[65_535], content[65_536]], point).to.deep.equal([MEBIBYTE, 7, 7, 0]);
      const files = ways.filter((way) => existsSync(file({ id, pool: way } as unknown as Body)));
      expect(files, point).to.deep.equal([pool]);
    }
    await flotilla.change('POST', '/v1/machines/m/start', {});
    const { body } = await flotilla.call('GET', '/v1/machines/m');
    expect(flotilla.guest(String(body['id'])).spec.disks[0]?.path).to.equal(file(await get('m-root')));
    expect(refusal(await move('fast'))).to.deep.equal([409, 'volume.in_use']);
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
    await flotilla.change('DELETE', '/v1/images/d');
    expect(flotilla.leftovers().filter((one) => one.startsWith('vol-'))).to.deep.equal([]);
  });

  it('that are to take a place come to nothing when they are called off, and what was there before is no copy', async () => {
    await flotilla.change('POST', '/v1/pools', { name: 'fast', kind: 'dir', dir: { path: at('fast') } });
    const made = await make('data', { from: { image: 'd' }, sizeMiB: 1024 });
    const move = (pool: string, headers: Record<string, string> = wait) =>
      flotilla.call('POST', '/v1/volumes/data/move', { body: { pool }, headers });
    expect(refusal(await move('default'))).to.deep.equal([422, 'spec.disk_invalid', 'pool']);
    expect(refusal(await move('none'))).to.deep.equal([422, 'pool.not_found', 'pool']);
    const stale = file({ id: made['id'], pool: 'fast' } as unknown as Body);
    writeFileSync(stale, 'left by an earlier move');
    const { body } = await move('fast', {});
    await flotilla.waitFor('the copy', async () => {
      const seen = (await flotilla.call('GET', `/v1/operations/${body['id']}`)).body;
      return seen['progress'] !== undefined;
    });
    expect((await get('data'))['state']).to.equal('moving');
    const taker = machine('n', { disks: [{ name: 'root', volume: 'data' }] });
    expect(refusal(await flotilla.call('POST', '/v1/machines', { body: taker }))).to.deep.equal([409, 'volume.locked', 'disks[0].volume']);
    expect(refusal(await ask({ name: 'copy', from: { volume: 'data' } }))).to.deep.equal([409, 'volume.locked', 'from.volume']);
    expect(refusal(await flotilla.call('DELETE', '/v1/volumes/data', { headers: wait }))).to.deep.equal([409, 'volume.state_conflict']);
    await flotilla.call('POST', `/v1/operations/${body['id']}/cancel`, { body: {} });
    await settled(flotilla, 'the cancel');
    expect([(await get('data'))['state'], (await get('data'))['pool'], readdirSync(at('fast/volumes'))]).to.deep.equal([
      'ready',
      'default',
      [],
    ]);
    writeFileSync(stale, 'left by an earlier move');
    expect((await move('fast')).body['state']).to.equal('succeeded');
    expect(
      readFileSync(file(await get('data')))
        .subarray(0, 65_536)
        .equals(Buffer.alloc(65_536, 7)),
    ).to.equal(true);
    expect(existsSync(file(made))).to.equal(false);
  });
});
