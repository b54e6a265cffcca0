// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';
import { settled } from '../support/pool-faults.js';

const wait = { prefer: 'wait=60' };
const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);

onEachDatabase('disks of a stopped machine', (makeDatabase) => {
  let flotilla: Orchestrator;
  const at = (...names: string[]) => join(flotilla.directory, ...names);
  const file = (id: unknown) => at('data/host/pools/default/volumes', String(id));
  const attach = (name: string, body: Record<string, unknown>, headers: Record<string, string> = {}) =>
    flotilla.call('POST', `/v1/machines/${name}/disks`, { body, headers: { ...wait, ...headers } });
  const detach = (name: string, disk: string, query = '', headers: Record<string, string> = {}) =>
    flotilla.call('DELETE', `/v1/machines/${name}/disks/${disk}${query}`, { headers: { ...wait, ...headers } });
  const get = async (name: string): Promise<Body> => (await flotilla.call('GET', `/v1/machines/${name}`)).body;
  const volume = async (name: unknown): Promise<Body> => (await flotilla.call('GET', `/v1/volumes/${String(name)}`)).body;
  const still = (name: string, disks: Record<string, unknown>[] = []) =>
    flotilla.change('POST', '/v1/machines', machine(name, { start: false, disks }));
  const names = async (name: string) => [...((await get(name))['spec']?.['disks'] ?? [])].map((disk) => disk['name']);
  const act = (name: string, verb: string) => flotilla.call('POST', `/v1/machines/${name}/${verb}`, { body: {}, headers: wait });

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  it('are attached, used, detached and attached to another machine', async () => {
    await flotilla.change('POST', '/v1/volumes', { name: 'data', sizeMiB: 1 });
    const { id } = await volume('data');
    await still('one');
    const attached = await attach('one', { name: 'd', volume: 'data', readOnly: true, serial: 'S1' });
    expect(attached.body).to.deep.include({ state: 'succeeded', kind: 'disk.attach' });
    expect(attached.body['result']).to.include({ volumeId: id });
    const one = await get('one');
    expect(one['spec']?.['disks']).to.deep.equal([{ name: 'd', volume: id, readOnly: true, serial: 'S1' }]);
    expect([one['generation'], (await volume('data'))['machine']]).to.deep.equal([2, one['id']]);
    await act('one', 'start');
    expect(flotilla.guest(String(one['id'])).spec.disks[0]).to.include({ path: file(id), readOnly: true });
    expect(refusal(await detach('one', 'd'))).to.deep.equal([409, 'machine.state_conflict']);
    expect(refusal(await attach('one', { name: 'e', sizeMiB: 1 }))).to.deep.equal([409, 'machine.state_conflict']);
    await act('one', 'kill');
    expect((await detach('one', 'd')).body).to.include({ state: 'succeeded', kind: 'disk.detach' });
    expect([await names('one'), (await volume('data'))['machine']]).to.deep.equal([[], undefined]);
    await still('two');
    expect((await attach('two', { name: 'd', volume: String(id) })).body['state']).to.equal('succeeded');
    await flotilla.change('DELETE', '/v1/machines/two');
    expect((await volume('data'))['state']).to.equal('ready');
  });

  it('are made for the machine, from an image or empty, and go with it unless they were detached', async () => {
    await still('m', [{ name: 'root', image: 'd' }]);
    const image = (await flotilla.call('GET', '/v1/images/d')).body['id'];
    for (const disk of [
      { name: 'copy', image: 'd', sizeMiB: 1 },
      { name: 'linked', image: 'd', clone: 'linked' },
      { name: 'shared', image: 'd', clone: 'shared', readOnly: true },
      { name: 'empty', sizeMiB: 1 },
    ])
      expect((await attach('m', disk)).body['state'], disk.name).to.equal('succeeded');
    expect(await names('m')).to.deep.equal(['root', 'copy', 'linked', 'shared', 'empty']);
    expect(await volume('m-copy')).to.include({ state: 'ready', sizeBytes: 2 ** 20, format: 'raw' });
    expect(await volume('m-linked')).to.include({ state: 'ready', format: 'qcow2', backingImage: image });
    await act('m', 'start');
    await act('m', 'kill');
    const kept = (await volume('m-root'))['id'];
    expect((await detach('m', 'root')).body['state']).to.equal('succeeded');
    const gone = (await volume('m-empty'))['id'];
    expect((await detach('m', 'empty', '?deleteVolume=true')).body['state']).to.equal('succeeded');
    expect([existsSync(file(gone)), (await volume(gone))['code']]).to.deep.equal([false, 'volume.not_found']);
    await flotilla.change('DELETE', '/v1/machines/m');
    expect(readdirSync(at('data/host/pools/default/volumes'))).to.deep.equal([kept]);
    await flotilla.change('DELETE', '/v1/volumes/m-root');
    await flotilla.change('DELETE', '/v1/images/d');
  });

  it('are refused with the field at fault, and change nothing then', async () => {
    await still('m', [{ name: 'root', sizeMiB: 1 }]);
    await flotilla.change('POST', '/v1/volumes', { name: 'q', sizeMiB: 1, format: 'qcow2' });
    for (const [disk, expected] of [
      [{ name: 'root', sizeMiB: 1 }, [422, 'spec.duplicate_name', 'name']],
      [{ name: 'd' }, [422, 'spec.disk_invalid', 'volume']],
      [{ name: 'd', volume: 'none' }, [422, 'volume.not_found', 'volume']],
      [{ name: 'd', volume: 'm-root' }, [409, 'volume.locked', 'volume']],
      [{ name: 'd', volume: 'q', pool: 'default' }, [422, 'spec.disk_invalid', 'pool']],
      [{ name: 'd', volume: 'q', cache: 'none' }, [422, 'spec.disk_invalid', 'cache']],
      [{ name: 'd', image: 'none' }, [422, 'image.not_found', 'image']],
      [{ name: 'd', sizeMiB: 1, clone: 'linked' }, [422, 'spec.disk_invalid', 'clone']],
      [{ name: 'd', sizeMiB: 1, throttle: { group: 'none' } }, [422, 'spec.throttle_group', 'throttle.group']],
      [{ name: 'd', sizeMiB: 1, path: '/dev/sda' }, [422, 'request.unknown_field', 'path']],
    ] as const)
      expect(refusal(await attach('m', disk)), JSON.stringify(disk)).to.deep.equal(expected);
    expect(refusal(await attach('none', { name: 'd', sizeMiB: 1 }))).to.deep.equal([404, 'machine.not_found']);
    expect(refusal(await detach('m', 'none'))).to.deep.equal([404, 'disk.not_found']);
    expect(refusal(await attach('m', { name: 'd', sizeMiB: 1 }, { 'if-match': 'W/"0"' }))).to.deep.equal([412, 'precondition.failed']);
    expect(refusal(await detach('m', 'root', '', { 'if-match': 'W/"0"' }))).to.deep.equal([412, 'precondition.failed']);
    expect([await names('m'), (await volume('q'))['machine'], (await get('m'))['generation']]).to.deep.equal([['root'], undefined, 1]);
    for (let count = 1; count < 16; count += 1) await attach('m', { name: `d${count}`, sizeMiB: 1 });
    expect(refusal(await attach('m', { name: 'seventeenth', sizeMiB: 1 }))).to.deep.equal([422, 'spec.disk_invalid', 'name']);
    expect(await names('m')).to.have.length(16);
  });

  it('are of one machine, also when many ask at once, and of none that is started at once', async () => {
    await flotilla.change('POST', '/v1/volumes', { name: 'wanted', sizeMiB: 1 });
    for (const name of ['a', 'b', 'c']) await still(name);
    const answers = await Promise.all(['a', 'b', 'c'].map((name) => attach(name, { name: 'd', volume: 'wanted' })));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    for (const answer of answers.filter(({ status }) => status !== 200))
      expect(refusal(answer)).to.deep.equal([409, 'volume.locked', 'volume']);
    const holder = ['a', 'b', 'c'][answers.findIndex(({ status }) => status === 200)] ?? '';
    for (let turn = 0; turn < 4; turn += 1) {
      const [detached, started] = await Promise.all([detach(holder, 'd'), act(holder, 'start')]);
      expect(started.body['state'] ?? detached.body['state']).to.equal('succeeded');
      if (started.status < 300) {
        const disks = flotilla.guest(String((await get(holder))['id'])).spec.disks.length;
        expect([disks, (await volume('wanted'))['machine'] === undefined]).to.deep.equal(detached.status < 300 ? [0, true] : [1, false]);
        await act(holder, 'kill');
      }
      if (detached.status < 300) await attach(holder, { name: 'd', volume: 'wanted' });
    }
  });

  it('are there whole or not at all when the orchestrator is killed', async () => {
    await still('m');
    for (const point of ['disk.attach.volume.begin', 'disk.attach.volume', 'disk.attach.end']) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: point });
      await attach('m', { name: 'd', image: 'd' }).catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      expect([await names('m'), (await volume('m-d'))['state']], point).to.deep.equal([['d'], 'ready']);
      await detach('m', 'd', '?deleteVolume=true');
      expect(flotilla.leftovers(), point).to.deep.equal([]);
    }
    for (const point of ['disk.detach.remove.begin', 'disk.detach.remove', 'disk.detach.end']) {
      await attach('m', { name: 'd', sizeMiB: 1 });
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: point });
      await detach('m', 'd', '?deleteVolume=true').catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      expect([await names('m'), (await volume('m-d'))['code'], flotilla.leftovers()], point).to.deep.equal([[], 'volume.not_found', []]);
    }
  });

  it('whose pool is away come to nothing, and a volume that could not go can be deleted later', async () => {
    await flotilla.change('POST', '/v1/pools', { name: 'fast', kind: 'dir', dir: { path: at('fast') } });
    await still('m', [{ name: 'd', sizeMiB: 1, pool: 'fast' }]);
    renameSync(at('fast'), at('away'));
    expect((await attach('m', { name: 'e', sizeMiB: 1, pool: 'fast' })).body['error']?.['code']).to.equal('pool.unavailable');
    expect((await volume('m-e'))['code']).to.equal('volume.not_found');
    expect((await detach('m', 'd', '?deleteVolume=true')).body['error']?.['code']).to.equal('pool.unavailable');
    expect([await names('m'), (await volume('m-d'))['state']]).to.deep.equal([[], 'deleting']);
    expect(refusal(await attach('m', { name: 'd', volume: 'm-d' }))).to.deep.equal([409, 'volume.locked', 'volume']);
    renameSync(at('away'), at('fast'));
    await flotilla.change('DELETE', '/v1/volumes/m-d');
    expect(readdirSync(at('fast/volumes'))).to.deep.equal([]);
  });
});
