// SPDX-License-Identifier: Apache-2.0
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

const MEBIBYTE = 2 ** 20;
const linked = (name: string, more: Record<string, unknown> = {}) =>
  machine(name, { disks: [{ name: 'root', image: 'd', clone: 'linked', ...more }] });

onEachDatabase('a shared disk', (makeDatabase) => {
  let flotilla: Orchestrator;

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  it('is its image, for any number of machines, in memory as they ask, and the image stays as long as they do', async () => {
    const disk = { name: 'root', image: 'd', clone: 'shared', readOnly: true };
    await flotilla.change('POST', '/v1/machines', machine('one', { disks: [disk] }));
    await flotilla.change('POST', '/v1/machines', machine('two', { disks: [{ ...disk, attach: 'pmem' }] }));
    const image = String((await flotilla.call('GET', '/v1/images/d')).body['id']);
    const pool = join(flotilla.directory, 'data/host/pools/default');
    for (const [name, attach] of [
      ['one', undefined],
      ['two', 'pmem'],
    ] as const) {
      const { body } = await flotilla.call('GET', `/v1/machines/${name}`);
      const told = flotilla.guest(String(body['id'])).spec.disks[0];
      expect(told).to.deep.include({ path: join(pool, 'images', image), format: 'raw', backing: [], readOnly: true });
      expect(told?.attach).to.equal(attach);
      const volume = (await flotilla.call('GET', `/v1/volumes/${body['observed']?.['disks']?.[0]?.['volume']}`)).body;
      expect(volume).to.include({ format: 'raw', backingImage: image, sizeBytes: 64 * 1024, state: 'ready' });
      const grown = await flotilla.call('PATCH', `/v1/volumes/${volume['id']}`, { body: { sizeMiB: 9 } });
      expect([grown.status, grown.body['code'], grown.body['field']]).to.deep.equal([422, 'spec.disk_invalid', 'sizeMiB']);
      const limits = { kind: 'disk', name: 'root', limits: { bytes: { perSecond: 1000 } } };
      const limited = await flotilla.call('PATCH', `/v1/machines/${name}/throttle`, { body: limits });
      expect([limited.status, limited.body['code']]).to.deep.equal(attach === 'pmem' ? [404, 'throttle.unknown'] : [200, undefined]);
      expect((await flotilla.call('GET', `/v1/machines/${name}`)).body['spec']?.['disks']?.[0]?.['throttle'], name).to.deep.equal(
        attach === 'pmem' ? undefined : limits.limits,
      );
    }
    expect(readdirSync(join(pool, 'volumes'))).to.deep.equal([]);
    const refused = (await flotilla.call('DELETE', '/v1/images/d')).body;
    expect([refused['code'], refused['detail']]).to.satisfy(
      ([code, detail]: string[]) => code === 'image.in_use' && detail?.includes('two-root'),
    );
    await flotilla.killHard();
    await flotilla.start();
    for (const name of ['one', 'two']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
    expect(readdirSync(join(pool, 'images'))).to.include(image);
    await flotilla.change('DELETE', '/v1/images/d');
    expect(flotilla.leftovers()).to.deep.equal([]);
  });
});

onEachDatabase('a disk of its own that is memory', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });
  after(() => flotilla.dispose());

  it('grows by whole huge pages, without which it could not be mapped at the next start', async () => {
    await flotilla.change('POST', '/v1/machines', machine('mapped', { disks: [{ name: 'root', sizeMiB: 4, attach: 'pmem' }] }));
    const id = (await flotilla.call('GET', '/v1/machines/mapped')).body['observed']?.['disks']?.[0]?.['volume'];
    const resize = async (sizeMiB: number) => {
      const { status, body } = await flotilla.call('PATCH', `/v1/volumes/${id}`, { body: { sizeMiB } });
      return [status, body['code'], body['field'], body['sizeBytes']];
    };
    expect(await resize(5)).to.deep.equal([422, 'spec.disk_invalid', 'sizeMiB', undefined]);
    expect(await resize(6)).to.deep.equal([200, undefined, undefined, 6 * MEBIBYTE]);
  });
});

onEachDatabase('a linked disk', (makeDatabase) => {
  let flotilla: Orchestrator;

  beforeEach(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
  });
  afterEach(() => flotilla.dispose());

  const image = async () => String((await flotilla.call('GET', '/v1/images/d')).body['id']);
  const pool = (path: string) => join(flotilla.directory, 'data/host/pools/default', path);
  async function volumeOf(name: string): Promise<Body> {
    const id = (await flotilla.call('GET', `/v1/machines/${name}`)).body['observed']?.['disks']?.[0]?.['volume'];
    return (await flotilla.call('GET', `/v1/volumes/${id}`)).body;
  }
  const refusal = async () => (await flotilla.call('DELETE', '/v1/images/d')).body;

  it('is a qcow2 volume on its image, and the hypervisor is told of both', async () => {
    await flotilla.change('POST', '/v1/machines', linked('one'));
    const volume = await volumeOf('one');
    const id = await image();
    expect(volume).to.include({ format: 'qcow2', backingImage: id, sizeBytes: 64 * 1024, state: 'ready' });
    expect((await flotilla.call('GET', '/v1/machines/one')).body['spec']?.['disks']?.[0]).to.include({ image: id, clone: 'linked' });
    const told = flotilla.guest(String((await flotilla.call('GET', '/v1/machines/one')).body['id'])).spec.disks[0];
    expect(told).to.include({ path: pool(`volumes/${volume['id']}`), format: 'qcow2' });
    expect(told?.backing).to.deep.equal([{ path: pool(`images/${id}`), format: 'raw', name: `../images/${id}` }]);
    await flotilla.change('POST', '/v1/machines', machine('other'));
    expect(await volumeOf('other'))
      .to.include({ format: 'raw' })
      .and.not.have.property('backingImage');
  });

  it('keeps its image from being deleted, also across a restart, until its machine is gone', async () => {
    for (const name of ['a', 'b', 'c', 'e']) await flotilla.change('POST', '/v1/machines', linked(name));
    const refused = await refusal();
    const named = await volumeOf('a');
    expect([refused['status'], refused['code']]).to.deep.equal([409, 'image.in_use']);
    expect(refused['detail']).to.contain(`"a-root" (${named['id']})`).and.to.contain('and 1 more');
    expect(refused['remedy']).to.contain('Delete the machines of these volumes');
    await flotilla.killHard();
    await flotilla.start();
    for (const name of ['a', 'b', 'c']) await flotilla.change('DELETE', `/v1/machines/${name}?force=true`);
    expect((await refusal())['code']).to.equal('image.in_use');
    await flotilla.change('DELETE', '/v1/machines/e?force=true');
    await flotilla.change('DELETE', '/v1/images/d');
    expect([readdirSync(pool('volumes')), flotilla.leftovers()]).to.deep.equal([[], []]);
  });

  it('and the delete of its image, both asked for at once, never leave one without the other', async () => {
    for (let turn = 0; turn < 5; turn += 1) {
      const [created, removed] = await Promise.all([
        flotilla.call('POST', '/v1/machines', { body: linked('racer'), headers: { prefer: 'wait=60' } }),
        flotilla.call('DELETE', '/v1/images/d', { headers: { prefer: 'wait=60' } }),
      ]);
      const [made, gone] = [created.status < 300, removed.status < 300];
      expect(made, `${created.status} ${removed.status}`).to.equal(!gone);
      if (made) {
        expect(created.body['state']).to.equal('succeeded');
        expect(removed.body['code']).to.equal('image.in_use');
        await flotilla.change('DELETE', '/v1/machines/racer?force=true');
      } else {
        expect(created.body['code']).to.equal('image.not_found');
        const source = { path: join(flotilla.directory, 'disk') };
        await flotilla.change('POST', '/v1/images', { name: 'd', kind: 'disk', format: 'raw', source });
      }
    }
  });

  it('grows under a guest that runs and while it is stopped', async () => {
    await flotilla.change('POST', '/v1/machines', linked('grower', { sizeMiB: 4 }));
    const { id, sizeBytes } = await volumeOf('grower');
    expect(sizeBytes).to.equal(4 * MEBIBYTE);
    const resize = (sizeMiB: number) => flotilla.call('PATCH', `/v1/volumes/${id}`, { body: { sizeMiB } });
    expect((await resize(9)).body['sizeBytes']).to.equal(9 * MEBIBYTE);
    expect((await flotilla.call('GET', '/v1/machines/grower/logs')).body).to.contain(
      `root: detected capacity change to ${9 * MEBIBYTE} bytes`,
    );
    expect((await resize(8)).body['code']).to.equal('spec.disk_invalid');
    await flotilla.change('POST', '/v1/machines/grower/kill', {});
    expect((await resize(10)).body['sizeBytes']).to.equal(10 * MEBIBYTE);
    expect(statSync(pool(`volumes/${id}`)).blocks * 512, 'it holds nothing').to.be.below(MEBIBYTE);
    await flotilla.change('POST', '/v1/machines/grower/start', {});
    expect((await volumeOf('grower'))['sizeBytes']).to.equal(10 * MEBIBYTE);
    await flotilla.change('POST', '/v1/machines/grower/kill', {});
    rmSync(pool(`volumes/${id}`));
    expect((await resize(11)).body['code'], 'its file is lost').to.equal('file.missing');
  });

  it('is refused without an image, and with a cache that it cannot have', async () => {
    const asked = async (disk: Record<string, unknown>) => {
      const { status, body } = await flotilla.call('POST', '/v1/machines', { body: machine('no', { disks: [{ name: 'root', ...disk }] }) });
      return [status, body['code'], body['field']];
    };
    expect(await asked({ sizeMiB: 1, clone: 'linked' })).to.deep.equal([422, 'spec.disk_invalid', 'disks[0].clone']);
    expect(await asked({ image: 'd', clone: 'linked', cache: 'none' })).to.deep.equal([422, 'spec.disk_invalid', 'disks[0].cache']);
    expect(await asked({ image: 'd', clone: 'hard' })).to.deep.equal([422, 'request.invalid_value', 'disks[0].clone']);
    expect((await flotilla.call('GET', '/v1/volumes')).body['items']).to.have.length(0);
  });

  it('is whole or not there when the orchestrator is killed while it is made', async () => {
    for (const point of ['machine.create.volumes.begin', 'machine.create.volumes', 'machine.create.undo-volumes']) {
      await flotilla.stop();
      await flotilla.start({ FLOTILLA_FAULT: point });
      const undone = point.includes('undo');
      const body = { ...linked('victim'), ...(undone ? { boot: { kernel: 'k', commandLine: 'fake.fail=boot' } } : {}) };
      await flotilla.call('POST', '/v1/machines', { body }).catch(() => undefined);
      await flotilla.died();
      await flotilla.start();
      await flotilla.waitFor(`the end of the operation after ${point}`, async () => {
        const items = [...((await flotilla.call('GET', '/v1/operations?limit=200')).body['items'] ?? [])];
        return items.every((one) => !['pending', 'running'].includes(String(one['state'])));
      });
      if (!undone) {
        expect(await volumeOf('victim'), point).to.include({ format: 'qcow2', state: 'ready' });
        expect((await refusal())['code'], point).to.equal('image.in_use');
        await flotilla.change('DELETE', '/v1/machines/victim?force=true');
      }
      await flotilla.waitFor(`nothing is left after ${point}`, () => Promise.resolve(flotilla.leftovers().length === 0));
      expect((await flotilla.call('GET', '/v1/volumes')).body['items'], point).to.have.length(0);
    }
    await flotilla.change('DELETE', '/v1/images/d');
  });
});
