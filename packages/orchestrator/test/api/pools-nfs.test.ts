// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';
import { dieAtEachStep, POOL_STEPS, type PoolVerb } from '../support/pool-faults.js';

const MARK = '.flotilla-pool';
const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);
const failure = ({ body }: Answer) => [body['state'], body['error']?.['code'], body['error']?.['field']].filter((one) => one !== undefined);

/** Programs that work on pools of this orchestrator. */
function helpers(directory: string): string[] {
  const commandOf = (pid: string) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    } catch {
      return ''; // it has ended meanwhile
    }
  };
  return readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && commandOf(name).includes('pool-server') && commandOf(name).includes(directory),
  );
}

describe('storage pools on NFS', () => {
  let flotilla: Orchestrator;
  const at = (...names: string[]) => join(flotilla.directory, ...names);
  /** What the server has there. */
  const served = (...names: string[]) => at('run/fake/exports', encodeURIComponent('nas:/srv'), ...names);
  const mounted = () => readdirSync(at('data/host/mounts'));
  const body = (more: Record<string, unknown> = {}) => ({ name: 'far', kind: 'nfs', nfs: { server: 'nas', path: '/srv', ...more } });
  const wait = { headers: { prefer: 'wait=30' } };
  const define = (more: Record<string, unknown> = {}) => flotilla.call('POST', '/v1/pools', { body: body(more), ...wait });
  const act = (verb: string, given: unknown = {}) => flotilla.call('POST', `/v1/pools/far/${verb}`, { body: given, ...wait });
  const remove = (query = '') => flotilla.call('DELETE', `/v1/pools/far${query}`, wait);
  const get = async (): Promise<Body> => (await flotilla.call('GET', '/v1/pools/far')).body;

  beforeEach(async () => {
    flotilla = await new Orchestrator().start();
    mkdirSync(served(), { recursive: true });
  });
  afterEach(() => flotilla.dispose());

  it('are mounted while they are started, and give the export back as they got it', async () => {
    await flotilla.importImages();
    const options = { mode: 'soft', timeo: 50 };
    expect((await define({ options })).body['state']).to.equal('succeeded');
    const pool = await get();
    expect(pool).to.deep.include({ kind: 'nfs', state: 'ready', nfs: { server: 'nas', path: '/srv', options } });
    expect([pool['capabilities'], pool['dir']]).to.deep.equal([['linkedClones', 'resize', 'qcow2', 'preallocation'], undefined]);
    expect(readlinkSync(at('data/host/mounts', String(pool['id'])))).to.equal(served());

    await flotilla.change('POST', '/v1/machines', machine('m', { disks: [{ name: 'a', image: 'd', clone: 'linked', pool: 'far' }] }));
    const made = (await flotilla.call('GET', '/v1/machines/m')).body;
    const volume = String(made['observed']?.['disks']?.[0]?.['volume']);
    const path = at('data/host/mounts', String(pool['id']), 'volumes', volume);
    expect(flotilla.guest(String(made['id'])).spec.disks[0]).to.include({ path, format: 'qcow2' });
    for (const force of [false, true]) expect(refusal(await act('stop', { force })), 'in use').to.deep.equal([409, 'pool.in_use']);

    const inside = machine('inside', { isolation: 'in-process', disks: [{ name: 'a', sizeMiB: 1, pool: 'far' }] });
    expect(failure(await flotilla.call('POST', '/v1/machines', { body: inside, ...wait }))).to.deep.equal([
      'failed',
      'spec.disk_invalid',
      'isolation',
    ]);

    await flotilla.change('POST', '/v1/machines/m/kill', {});
    expect((await act('stop')).body['state']).to.equal('succeeded');
    expect([mounted(), helpers(flotilla.directory)]).to.deep.equal([[], []]);
    expect((await act('start')).body['state']).to.equal('succeeded');
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
    expect((await remove()).body['state']).to.equal('succeeded');
    expect([mounted(), readdirSync(served())]).to.deep.equal([[], []]);
  });

  it('are refused when their definition is wrong, by the field', async () => {
    for (const [more, code, field] of [
      [{ server: '-o' }, 'pool.config_invalid', 'nfs.server'],
      [{ path: '/srv/../etc' }, 'pool.config_invalid', 'nfs.path'],
      [{ version: '3' }, 'request.invalid_value', 'nfs.version'],
      [{ options: { mode: 'hard,exec' } }, 'request.invalid_value', 'nfs.options.mode'],
      [{ options: { nconnect: 17 } }, 'pool.config_invalid', 'nfs.options.nconnect'],
      [{ options: { exec: true } }, 'request.unknown_field', 'nfs.options.exec'],
    ] as const)
      expect(refusal(await define(more)), field).to.deep.equal([422, code, field]);
    const asked = async (more: Record<string, unknown>) =>
      refusal(await flotilla.call('POST', '/v1/pools', { body: { ...body(), ...more } }));
    expect(await asked({ nfs: undefined })).to.deep.equal([422, 'pool.config_invalid', 'nfs']);
    expect(await asked({ dir: { path: '/srv' } })).to.deep.equal([422, 'pool.config_invalid', 'dir']);
    expect(failure(await define({ server: 'nowhere' }))).to.deep.equal(['failed', 'pool.unavailable', 'nfs.server']);
    expect([(await flotilla.call('GET', '/v1/pools')).body['items']?.['length'], mounted()]).to.deep.equal([1, []]);
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_POOL_ROOTS: flotilla.directory });
    expect(failure(await define())).to.deep.equal(['failed', 'pool.outside_roots', 'nfs']);
  });

  it('are unavailable while the server is away, come back by themselves, and are found by the next orchestrator', async () => {
    await define();
    const found = helpers(flotilla.directory);
    expect(found).to.have.length(1);
    await flotilla.killHard();
    await flotilla.waitFor('the process that works on it has ended too', () => Promise.resolve(helpers(flotilla.directory).length === 0));
    await flotilla.start({ FLOTILLA_RECONCILE_MS: '200' });
    const becomes = (state: string) => flotilla.waitFor(`it is ${state}`, async () => String((await get())['state']) === state);
    renameSync(served(), at('away'));
    await becomes('unavailable');
    expect((await get())['reason']).to.include({ code: 'pool.unavailable' });
    expect(failure(await remove())).to.deep.equal(['failed', 'pool.unavailable']);
    renameSync(at('away'), served());
    expect((await act('start')).body['state']).to.equal('succeeded');
    renameSync(served(), at('away'));
    await becomes('unavailable');
    renameSync(at('away'), served());
    await becomes('ready');
    renameSync(served(), at('away'));
    expect((await remove('?force=true')).body['state']).to.equal('succeeded');
    expect([mounted(), readdirSync(at('away')).sort()]).to.deep.equal([[], [MARK, 'images', 'volumes']]);
  });

  for (const verb of Object.keys(POOL_STEPS) as PoolVerb[]) {
    it(`are whole or not there after a kill -9 at any step of ${verb}`, async function () {
      this.timeout(180_000);
      await dieAtEachStep(flotilla, { define: () => define(), act, remove: () => remove(), get }, verb, (point) => {
        expect(readdirSync(served()).sort(), point).to.deep.equal(verb === 'delete' ? [] : [MARK, 'images', 'volumes']);
        expect(mounted(), point).to.have.length(verb === 'define' ? 1 : 0);
      });
    });
  }
});
