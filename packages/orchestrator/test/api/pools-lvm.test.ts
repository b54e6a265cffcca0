// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';
import { dieAtEachStep, POOL_STEPS, type PoolVerb, settled } from '../support/pool-faults.js';

const EXTENT = 65_536;
const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);
const failure = ({ body }: Answer) => [body['state'], body['error']?.['code'], body['error']?.['field']].filter((one) => one !== undefined);

interface Group {
  freeBytes: number;
  tags: string[];
  volumes: { name: string; role: string; tags: string[]; active: boolean; dataPercent?: number }[];
}

describe('storage pools of logical volumes', () => {
  let flotilla: Orchestrator;
  let found: Group;
  const at = (...names: string[]) => join(flotilla.directory, 'run/fake/groups', ...names);
  const read = () => JSON.parse(readFileSync(at('vg0/group.json'), 'utf8')) as Group;
  const write = (group: Group) => writeFileSync(at('vg0/group.json'), JSON.stringify(group));
  const ours = () => read().volumes.filter(({ name }) => name.startsWith('vol-'));
  const thin = (more: Record<string, unknown> = {}) => ({ kind: 'lvm-thin', lvmThin: { volumeGroup: 'vg0', thinPool: 'tp', ...more } });
  const thick = (more: Record<string, unknown> = {}) => ({ kind: 'lvm', lvm: { volumeGroup: 'vg0', ...more } });
  const wait = { headers: { prefer: 'wait=30' } };
  const define = (place: Record<string, unknown> = thin(), name = 'fast') =>
    flotilla.call('POST', '/v1/pools', { body: { name, ...place }, ...wait });
  const act = (verb: string, given: unknown = {}) => flotilla.call('POST', `/v1/pools/fast/${verb}`, { body: given, ...wait });
  const remove = (query = '', name = 'fast') => flotilla.call('DELETE', `/v1/pools/${name}${query}`, wait);
  const get = async (): Promise<Body> => (await flotilla.call('GET', '/v1/pools/fast')).body;

  beforeEach(async () => {
    flotilla = await new Orchestrator().start();
    mkdirSync(at('vg0'), { recursive: true });
    const volume = { sizeBytes: 4096 * EXTENT, tags: [], active: true, health: 'well' };
    const volumes = [
      { ...volume, name: 'foreign', role: 'other', zeroes: false, sizeBytes: EXTENT },
      { ...volume, name: 'tp', role: 'thin-pool', zeroes: true, dataPercent: 10, metadataPercent: 20 },
    ];
    found = { name: 'vg0', sizeBytes: 10_000 * EXTENT, freeBytes: 4096 * EXTENT, extentBytes: EXTENT, tags: [], volumes } as Group;
    write(found);
  });
  afterEach(() => flotilla.dispose());

  it('have the disks of machines, as devices, and give the group back as they got it', async () => {
    await flotilla.importImages();
    expect((await define()).body['state']).to.equal('succeeded');
    expect(await get()).to.deep.include({
      ...{ kind: 'lvm-thin', state: 'ready', lvmThin: { volumeGroup: 'vg0', thinPool: 'tp' }, capabilities: ['resize'] },
      ...{ capacityBytes: 4096 * EXTENT, allocatedBytes: 0, dataPercent: 10, metadataPercent: 20 },
    });
    expect((await define(thick(), 'slow')).body['state'], 'the rest of the group').to.equal('succeeded');
    const linked = machine('m', { disks: [{ name: 'a', image: 'd', clone: 'linked', pool: 'fast' }] });
    expect(refusal(await flotilla.call('POST', '/v1/machines', { body: linked }))).to.deep.equal([
      422,
      'pool.unsupported',
      'disks[0].clone',
    ]);

    const disks = [
      { name: 'a', image: 'd', pool: 'fast' },
      { name: 'b', sizeMiB: 1, pool: 'slow', cache: 'writeback' },
    ];
    await flotilla.change('POST', '/v1/machines', machine('m', { disks }));
    const made = (await flotilla.call('GET', '/v1/machines/m')).body;
    const [a, b] = [...(made['observed']?.['disks'] ?? [])].map((one) => String(one['volume']));
    const spec = flotilla.guest(String(made['id'])).spec.disks;
    expect(spec[0]).to.deep.include({ path: at('vg0', String(a)), format: 'raw', backing: [], cache: 'none' });
    expect(spec[1], 'what was asked for').to.deep.include({ path: at('vg0', String(b)), cache: 'writeback' });
    expect(refusal(await act('stop', { force: true }))).to.deep.equal([409, 'pool.in_use']);
    expect(refusal(await remove())).to.deep.equal([409, 'pool.not_empty']);

    await flotilla.change('POST', '/v1/machines/m/kill', {});
    expect((await act('stop')).body['state']).to.equal('succeeded');
    expect(ours().map(({ name, active }) => [name, active])).to.have.deep.members([
      [a, false],
      [b, true],
    ]);
    expect(refusal(await flotilla.call('POST', '/v1/machines/m/start', { body: {} }))).to.deep.equal([409, 'pool.not_started']);
    expect((await act('start')).body['state']).to.equal('succeeded');
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
    for (const name of ['fast', 'slow']) expect((await remove('', name)).body['state']).to.equal('succeeded');
    expect(read()).to.deep.equal(found);
  });

  it('are refused when their definition is wrong, by the field', async () => {
    for (const [place, code, field] of [
      [thin({ volumeGroup: '-y' }), 'pool.config_invalid', 'lvmThin.volumeGroup'],
      [thin({ thinPool: '@all' }), 'pool.config_invalid', 'lvmThin.thinPool'],
      [thick({ volumeGroup: 'a/b' }), 'pool.config_invalid', 'lvm.volumeGroup'],
      [thick({ thinPool: 'tp' }), 'request.unknown_field', 'lvm.thinPool'],
      [{ kind: 'lvm-thin' }, 'pool.config_invalid', 'lvmThin'],
      [{ ...thin(), lvm: { volumeGroup: 'vg0' } }, 'pool.config_invalid', 'lvm'],
      [{ kind: 'lvm', 'lvm-thin': {} }, 'request.unknown_field', 'lvm-thin'],
    ] as const)
      expect(refusal(await define(place)), field).to.deep.equal([422, code, field]);
    for (const [place, code, field] of [
      [thin({ volumeGroup: 'none' }), 'pool.place_invalid', 'lvmThin.volumeGroup'],
      [thin({ thinPool: 'foreign' }), 'pool.place_invalid', 'lvmThin.thinPool'],
      [thick({ volumeGroup: 'none' }), 'pool.place_invalid', 'lvm.volumeGroup'],
    ] as const)
      expect(failure(await define(place)), field).to.deep.equal(['failed', code, field]);
    await define();
    expect(failure(await define(thin(), 'again'))).to.deep.equal(['failed', 'pool.place_taken', 'lvmThin.thinPool']);
    await remove();
    expect(read()).to.deep.equal(found);
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_POOL_ROOTS: flotilla.directory });
    expect(failure(await define())).to.deep.equal(['failed', 'pool.outside_roots', 'lvmThin']);
  });

  it('are full by their guard, and unavailable while the group is away', async () => {
    await flotilla.importImages();
    await define();
    write({ ...read(), volumes: read().volumes.map((one) => (one.name === 'tp' ? { ...one, dataPercent: 96 } : one)) });
    const full = machine('m', { disks: [{ name: 'a', sizeMiB: 1, pool: 'fast' }] });
    expect(failure(await flotilla.call('POST', '/v1/machines', { body: full, ...wait }))).to.deep.equal([
      'failed',
      'pool.full',
      'disks[0].sizeMiB',
    ]);
    expect((await act('refresh')).body['state']).to.equal('succeeded');
    expect(await get()).to.deep.include({ guarded: true, availableBytes: 0, dataPercent: 96 });
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_RECONCILE_MS: '200' });
    const becomes = (state: string) => flotilla.waitFor(`it is ${state}`, async () => String((await get())['state']) === state);
    renameSync(at('vg0'), at('away'));
    await becomes('unavailable');
    expect((await get())['reason']).to.include({ code: 'pool.unavailable' });
    expect(String((await get())['reason']?.['detail']))
      .to.contain('vg0/tp')
      .and.to.contain('not found');
    renameSync(at('away'), at('vg0'));
    await becomes('ready');
  });

  it('have whole volumes or none after a kill -9 at any step of a create and a delete', async function () {
    this.timeout(240_000);
    await flotilla.importImages();
    await define(thick());
    const disks = [{ name: 'a', image: 'd', pool: 'fast' }];
    const points = (verb: string, step: string) => [`machine.${verb}.${step}.begin`, `machine.${verb}.${step}`];
    for (const point of [...points('create', 'volumes'), ...points('delete', 'volumes')]) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: point });
      await flotilla.call('POST', '/v1/machines', { body: machine('m', { disks }), ...wait }).catch(() => undefined);
      if (point.startsWith('machine.delete')) await flotilla.call('DELETE', '/v1/machines/m?force=true').catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      if (point.startsWith('machine.create')) {
        expect(
          ours().map(({ tags }) => tags.includes('flotilla.half-made')),
          point,
        ).to.deep.equal([false]);
        await flotilla.change('DELETE', '/v1/machines/m?force=true');
      }
      expect(ours(), point).to.deep.equal([]);
    }
  });

  for (const verb of Object.keys(POOL_STEPS) as PoolVerb[]) {
    it(`are whole or not there after a kill -9 at any step of ${verb}`, async function () {
      this.timeout(180_000);
      await dieAtEachStep(flotilla, { define: () => define(), act, remove: () => remove(), get }, verb, (point) => {
        expect(read().volumes.find(({ name }) => name === 'tp')?.tags.length, point).to.equal(verb === 'delete' ? 0 : 2);
        expect([read().tags, ours()], point).to.deep.equal([[], []]);
      });
    });
  }
});
