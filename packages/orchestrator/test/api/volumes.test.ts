// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Answer, type Body, machine, Orchestrator } from '../support/orchestrator.js';
import { settled } from '../support/pool-faults.js';

const MEBIBYTE = 2 ** 20;
/** Takes longer to copy than the time between two reports; as a hole it takes no space. */
const LARGE = 2 ** 30;
const wait = { prefer: 'wait=60' };
const refusal = ({ status, body }: Answer) => [status, body['code'], body['field']].filter((one) => one !== undefined);
const failure = ({ body }: Answer) => [body['state'], body['error']?.['code'], body['error']?.['field']].filter((one) => one !== undefined);

onEachDatabase('volumes', (makeDatabase) => {
  let flotilla: Orchestrator;
  const at = (...names: string[]) => join(flotilla.directory, ...names);
  const file = (id: unknown) => at('data/host/pools/default/volumes', String(id));
  const ask = (body: Record<string, unknown>, headers: Record<string, string> = wait) =>
    flotilla.call('POST', '/v1/volumes', { body, headers });
  const get = async (volume: unknown) => (await flotilla.call('GET', `/v1/volumes/${String(volume)}`)).body;
  const remove = (volume: unknown, query = '', headers: Record<string, string> = wait) =>
    flotilla.call('DELETE', `/v1/volumes/${String(volume)}${query}`, { headers });
  const make = async (name: string, more: Record<string, unknown> = { sizeMiB: 1 }): Promise<Body> => {
    const { body } = await ask({ name, ...more });
    expect(body['state'], JSON.stringify(body)).to.equal('succeeded');
    return get(name);
  };
  const list = async (query = '') => [...((await flotilla.call('GET', `/v1/volumes${query}`)).body['items'] ?? [])];

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  it('are made empty, found by id and name, grown and deleted', async () => {
    const made = await make('data', { sizeMiB: 3, labels: { team: 'blue' } });
    expect(made).to.deep.include({ name: 'data', pool: 'default', format: 'raw', sizeBytes: 3 * MEBIBYTE, state: 'ready', generation: 1 });
    expect(made).to.not.have.any.keys('machine', 'backingImage', 'source');
    expect([statSync(file(made['id'])).size, statSync(file(made['id'])).blocks]).to.deep.equal([3 * MEBIBYTE, 0]);
    expect(await get(made['id'])).to.deep.equal(made);
    await make('other');
    expect((await list('?labels=team=blue')).map((one) => one['name'])).to.deep.equal(['data']);
    expect((await list('?name=other')).map((one) => one['name'])).to.deep.equal(['other']);
    const grown = await flotilla.call('PATCH', '/v1/volumes/data', { body: { sizeMiB: 4 }, headers: { 'if-match': 'W/"1"' } });
    expect(grown.body).to.include({ sizeBytes: 4 * MEBIBYTE, generation: 2 });
    const stale = { ...wait, 'if-match': 'W/"1"' };
    expect(refusal(await remove('data', '', stale))).to.deep.equal([412, 'precondition.failed']);
    expect(refusal(await flotilla.call('PATCH', '/v1/volumes/data', { body: { sizeMiB: 5 }, headers: stale }))).to.deep.equal([
      412,
      'precondition.failed',
    ]);
    expect((await remove('data')).body).to.include({ state: 'succeeded', kind: 'volume.delete' });
    expect([existsSync(file(made['id'])), (await get('data'))['code']]).to.deep.equal([false, 'volume.not_found']);
    expect(refusal(await remove('data'))).to.deep.equal([404, 'volume.not_found']);
    const events = await eventsOf(flotilla, String(made['id']));
    expect(events).to.deep.equal(['volume.created', 'volume.ready', 'volume.updated', 'volume.deleted']);
  });

  it('are made from an image, by a copy or linked to it, and qcow2', async () => {
    const image = String((await flotilla.call('GET', '/v1/images/d')).body['id']);
    const full = await make('full', { from: { image: 'd' }, sizeMiB: 2 });
    expect(full)
      .to.include({ format: 'raw', sizeBytes: 2 * MEBIBYTE })
      .and.not.have.property('backingImage');
    expect(readFileSync(file(full['id'])).subarray(0, 65_536).equals(Buffer.alloc(65_536, 7))).to.equal(true);
    expect(await make('as-large', { from: { image: 'd' } })).to.include({ sizeBytes: 65_536 });
    const linked = await make('linked', { from: { image: 'd', clone: 'linked' }, sizeMiB: 4 });
    expect(linked).to.include({ format: 'qcow2', backingImage: image, sizeBytes: 4 * MEBIBYTE });
    const refused = (await flotilla.call('DELETE', '/v1/images/d')).body;
    expect([refused['code'], refused['detail']]).to.satisfy(
      ([code, detail]: string[]) => code === 'image.in_use' && detail?.includes('"linked"'),
    );
    await remove('linked');
    await flotilla.change('DELETE', '/v1/images/d');
    const own = await make('own', { sizeMiB: 8, format: 'qcow2' });
    expect(own)
      .to.include({ format: 'qcow2', sizeBytes: 8 * MEBIBYTE })
      .and.not.have.property('backingImage');
    expect(readFileSync(file(own['id'])).subarray(0, 4).toString('latin1')).to.equal('QFI\xfb');
    expect((await flotilla.call('PATCH', '/v1/volumes/own', { body: { sizeMiB: 9 } })).body['sizeBytes']).to.equal(9 * MEBIBYTE);
  });

  it('take all of their space at once when that is asked for', async () => {
    for (const [name, more] of [
      ['empty', { sizeMiB: 2 }],
      ['copy', { sizeMiB: 2, from: { image: 'd' } }],
    ] as const) {
      const { id } = await make(name, { ...more, preallocate: 'full' });
      expect(statSync(file(id)).blocks * 512, name).to.be.at.least(2 * MEBIBYTE);
      expect(readFileSync(file(id)).subarray(MEBIBYTE).equals(Buffer.alloc(MEBIBYTE))).to.equal(true);
    }
  });

  it('are refused with the field at fault', async () => {
    await flotilla.change('POST', '/v1/pools', { name: 'fast', kind: 'dir', dir: { path: at('fast') }, start: false });
    await make('taken');
    const { id } = await get('taken');
    for (const [body, expected] of [
      [{}, [422, 'spec.disk_invalid', 'sizeMiB']],
      [{ sizeMiB: 0 }, [422, 'spec.disk_invalid', 'sizeMiB']],
      [{ sizeMiB: 2 ** 27 }, [422, 'spec.disk_invalid', 'sizeMiB']],
      [{ sizeMiB: 1, pool: 'none' }, [422, 'pool.not_found', 'pool']],
      [{ sizeMiB: 1, pool: 'fast' }, [409, 'pool.not_started', 'pool']],
      [{ from: { image: 'none' } }, [422, 'image.not_found', 'from.image']],
      [{ from: { image: 'k' } }, [422, 'image.wrong_kind', 'from.image']],
      [{ from: {} }, [422, 'spec.disk_invalid', 'from']],
      [{ from: { image: 'd', volume: 'taken' } }, [422, 'spec.disk_invalid', 'from']],
      [{ from: { volume: 'none' } }, [422, 'volume.not_found', 'from.volume']],
      [{ from: { volume: 'taken', clone: 'linked' } }, [422, 'spec.disk_invalid', 'from.clone']],
      [{ from: { image: 'd', clone: 'shared' } }, [422, 'request.invalid_value', 'from.clone']],
      [{ from: { image: 'd', clone: 'linked' }, format: 'raw' }, [422, 'spec.disk_invalid', 'format']],
      [{ from: { image: 'd' }, format: 'qcow2' }, [422, 'spec.disk_invalid', 'format']],
      [{ sizeMiB: 1, format: 'qcow2', preallocate: 'full' }, [422, 'spec.disk_invalid', 'preallocate']],
      [{ sizeMiB: 1, format: 'vmdk' }, [422, 'request.invalid_value', 'format']],
      [{ sizeMiB: 1, path: '/etc/shadow' }, [422, 'request.unknown_field', 'path']],
      [{ sizeMiB: 1, name: '../x' }, [422, 'request.invalid_name', 'name']],
      [{ sizeMiB: 1, name: id }, [422, 'request.invalid_name', 'name']],
      [{ sizeMiB: 1, name: 'taken' }, [409, 'volume.name_taken', 'name']],
    ] as const)
      expect(refusal(await ask({ name: 'bad', ...body })), JSON.stringify(body)).to.deep.equal(expected);
    expect(await list()).to.have.length(1);
    expect(readdirSync(at('data/host/pools/default/volumes'))).to.deep.equal([id]);
  });

  it('of one name are one, also when many ask at once', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => ask({ name: 'one', sizeMiB: 1 })));
    expect(answers.filter(({ status }) => status === 200)).to.have.length(1);
    for (const answer of answers.filter(({ status }) => status !== 200))
      expect(refusal(answer)).to.deep.equal([409, 'volume.name_taken', 'name']);
    expect(readdirSync(at('data/host/pools/default/volumes'))).to.have.length(1);
  });

  it('are given to machines by name, held by one, kept when it goes, and deleted by nobody meanwhile', async () => {
    const { id } = await make('data');
    await make('m-root'); // the name that the machine would give its own
    const disks = [
      { name: 'root', sizeMiB: 1 },
      { name: 'data', volume: 'data' },
    ];
    await flotilla.change('POST', '/v1/machines', machine('m', { disks }));
    const found = (await flotilla.call('GET', '/v1/machines/m')).body;
    const [root, data] = [...(found['observed']?.['disks'] ?? [])].map((one) => String(one['volume']));
    expect([data, found['spec']?.['disks']?.[1]?.['volume']]).to.deep.equal([id, id]);
    expect((await get(root))['name']).to.match(/^m-root-[0-9a-z]{8}$/);
    const refused = await remove('data');
    expect(refusal(refused)).to.deep.equal([409, 'volume.in_use']);
    expect(refused.body['detail']).to.contain('machine "m"');
    const twice = [
      { name: 'a', volume: id },
      { name: 'b', volume: 'data' },
    ];
    await flotilla.change('DELETE', '/v1/machines/m?force=true');
    expect([(await get(root))['code'], (await get('data'))['state']]).to.deep.equal(['volume.not_found', 'ready']);
    const two = await flotilla.call('POST', '/v1/machines', { body: machine('n', { disks: twice }) });
    expect(refusal(two)).to.deep.equal([409, 'volume.locked', 'disks[1].volume']);
    expect((await get('data'))['machine']).to.equal(undefined);
    await remove('data');
  });

  it('are deleted or given to a machine, never both', async () => {
    for (let turn = 0; turn < 4; turn += 1) {
      const { id } = await make('wanted');
      const body = machine('racer', { start: false, disks: [{ name: 'root', volume: 'wanted' }] });
      const [created, removed] = await Promise.all([flotilla.call('POST', '/v1/machines', { body, headers: wait }), remove('wanted')]);
      expect(created.status < 300, `${created.status} ${removed.status}`).to.equal(removed.status >= 300);
      expect(existsSync(file(id))).to.equal(created.status < 300);
      if (created.status >= 300) continue;
      await flotilla.change('DELETE', '/v1/machines/racer');
      await remove('wanted');
    }
  });

  it('are whole or not there when the orchestrator is killed while it makes or deletes them', async () => {
    for (const point of ['volume.begin', 'volume', 'end']) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: `volume.create.${point}` });
      await ask({ name: 'victim', from: { image: 'd' }, preallocate: 'full' }).catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      const made = await get('victim');
      expect([made['state'], statSync(file(made['id'])).size], point).to.deep.equal(['ready', 65_536]);
      expect(flotilla.leftovers(), point).to.deep.equal([made['id']]);
      await remove('victim');
    }
    for (const point of ['remove.begin', 'remove', 'end']) {
      await make('victim');
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: `volume.delete.${point}` });
      await remove('victim').catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await settled(flotilla, point);
      expect([(await get('victim'))['code'], flotilla.leftovers()], point).to.deep.equal(['volume.not_found', []]);
    }
  });

  it('that are called off while they are made leave nothing, and tell of their bytes until then', async () => {
    const source = at('large');
    writeFileSync(source, 'content');
    truncateSync(source, LARGE);
    await flotilla.change('POST', '/v1/images', { name: 'large', kind: 'disk', format: 'raw', source: { path: source } });
    const { body } = await ask({ name: 'large', from: { image: 'large' } }, {});
    const read = async () => (await flotilla.call('GET', `/v1/operations/${body['id']}`)).body;
    const seen = await flotilla.waitFor<Body>('progress', async () => {
      const operation = await read();
      return operation['progress'] === undefined ? undefined : operation;
    });
    expect(seen['progress']?.['totalBytes']).to.equal(LARGE);
    expect((await get('large'))['state']).to.equal('creating');
    const held = await flotilla.call('DELETE', '/v1/images/large');
    expect(refusal(held), 'while it is copied').to.deep.equal([409, 'image.in_use']);
    expect(refusal(await remove('large')), 'in the middle').to.deep.equal([409, 'volume.state_conflict']);
    await flotilla.call('POST', `/v1/operations/${body['id']}/cancel`, { body: {} });
    await settled(flotilla, 'the cancel');
    expect((await read())['state']).to.equal('cancelled');
    expect([(await get('large'))['code'], flotilla.leftovers()]).to.deep.equal(['volume.not_found', []]);
    await flotilla.change('DELETE', '/v1/images/large');
  });

  it('in a pool that is away are deleted by force alone, and else can be deleted again', async () => {
    await flotilla.change('POST', '/v1/pools', { name: 'fast', kind: 'dir', dir: { path: at('fast') } });
    for (const name of ['one', 'two']) await make(name, { sizeMiB: 1, pool: 'fast' });
    expect(refusal(await flotilla.call('DELETE', '/v1/pools/fast', { headers: wait }))).to.deep.equal([409, 'pool.not_empty']);
    renameSync(at('fast'), at('away'));
    expect(failure(await ask({ name: 'three', sizeMiB: 1, pool: 'fast' }))).to.deep.equal(['failed', 'pool.unavailable']);
    expect(failure(await remove('one'))).to.deep.equal(['failed', 'pool.unavailable']);
    expect((await get('one'))['state']).to.equal('deleting');
    const grow = await flotilla.call('PATCH', '/v1/volumes/one', { body: { sizeMiB: 2 } });
    expect(refusal(grow)).to.deep.equal([409, 'volume.locked']);
    expect((await remove('two', '?force=true')).body['state']).to.equal('succeeded');
    rmSync(at('fast'), { recursive: true, force: true });
    renameSync(at('away'), at('fast'));
    expect((await remove('one')).body['state']).to.equal('succeeded');
    await flotilla.waitFor('what nobody owns is set aside', async () => readdirSync(at('fast/volumes')).length === 0);
    expect(await list()).to.deep.equal([]);
  });

  it('in pools of logical volumes are raw, and only thick ones have all of their space', async () => {
    const extent = 65_536;
    const groups = at('run/fake/groups/vg0');
    mkdirSync(groups, { recursive: true });
    const thinPool = { name: 'tp', role: 'thin-pool', zeroes: true, dataPercent: 10, metadataPercent: 20 };
    const volumes = [{ sizeBytes: 4096 * extent, tags: [], active: true, health: 'well', ...thinPool }];
    const group = { name: 'vg0', sizeBytes: 10_000 * extent, freeBytes: 4096 * extent, extentBytes: extent, tags: [], volumes };
    writeFileSync(join(groups, 'group.json'), JSON.stringify(group));
    const lvmThin = { volumeGroup: 'vg0', thinPool: 'tp' };
    await flotilla.change('POST', '/v1/pools', { name: 'thin', kind: 'lvm-thin', lvmThin });
    await flotilla.change('POST', '/v1/pools', { name: 'thick', kind: 'lvm', lvm: { volumeGroup: 'vg0' } });
    for (const [more, field, able] of [
      [{ pool: 'thin', sizeMiB: 1, preallocate: 'full' }, 'preallocate', 'dir, nfs, lvm'],
      [{ pool: 'thin', sizeMiB: 1, format: 'qcow2' }, 'format', 'dir, nfs'],
      [{ pool: 'thick', from: { image: 'd', clone: 'linked' } }, 'from.clone', 'dir, nfs'],
    ] as const) {
      const refused = await ask({ name: 'no', ...more });
      expect(refusal(refused)).to.deep.equal([422, 'pool.unsupported', field]);
      expect(refused.body['remedy']).to.contain(able);
    }
    const made = await make('thick', { pool: 'thick', from: { image: 'd' }, sizeMiB: 1, preallocate: 'full' });
    const content = readFileSync(join(groups, String(made['id'])));
    expect([content.length, content[0], content[65_535], content[65_536]]).to.deep.equal([MEBIBYTE, 7, 7, 0]);
    expect(await make('thin', { pool: 'thin', sizeMiB: 1 })).to.include({ sizeBytes: MEBIBYTE, pool: 'thin' });
    for (const name of ['thick', 'thin']) expect((await remove(name)).body['state']).to.equal('succeeded');
    expect(readdirSync(groups)).to.deep.equal(['group.json']);
  });

  it('are for operators, and not for viewers', async () => {
    for (const [role, status] of [
      ['viewer', 403],
      ['operator', 200],
    ] as const) {
      const made = await flotilla.call('POST', '/v1/keys', { body: { name: role, role } });
      const key = String(made.body['secret']);
      expect((await flotilla.call('POST', '/v1/volumes', { body: { name: role, sizeMiB: 1 }, headers: wait, key })).status).to.equal(
        status,
      );
    }
  });
});

async function eventsOf(flotilla: Orchestrator, target: string): Promise<string[]> {
  const response = await fetch(`${flotilla.url}/v1/events?after=0&target=${target}`, {
    headers: { authorization: `Bearer ${flotilla.key}` },
    signal: AbortSignal.timeout(60_000),
  });
  const kinds: string[] = [];
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    const lines = text.split('\n');
    text = lines.pop() ?? '';
    for (const line of lines.filter((one) => one.startsWith('data: '))) kinds.push((JSON.parse(line.slice(6)) as { kind: string }).kind);
    if (kinds.at(-1)?.endsWith('.deleted') === true) break;
  }
  return kinds;
}
