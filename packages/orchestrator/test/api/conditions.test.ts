// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { expect } from 'chai';
import { documentedOperations } from '../support/api-document.js';
import { onEachDatabase } from '../support/databases.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

const LISTS = documentedOperations().filter((one) => one.parameters.includes('cursor'));

onEachDatabase('conditions and lists, as the API document declares them', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start();
    await flotilla.importImages();
    for (const team of ['red', 'blue', 'red']) await populate(team);
  });
  after(() => flotilla.dispose());

  let made = 0;
  /** One more of everything that a client can make. */
  const populate = async (team: string) => {
    made += 1;
    const labels = { team, number: String(made) };
    const source = { path: join(flotilla.directory, 'disk') };
    await flotilla.change('POST', '/v1/images', { name: `image-${made}`, kind: 'disk', format: 'raw', source, labels });
    const body = machine(`machine-${made}`, { start: false, labels });
    await flotilla.change('POST', '/v1/machines', body);
    const forward = { protocol: 'udp', hostPort: 28_300 + made, machine: `machine-${made}`, guestPort: 1 };
    await flotilla.call('POST', '/v1/networks/default/forwards', { body: forward });
    await flotilla.call('POST', '/v1/keys', { body: { name: `key-of-${made}`, role: 'viewer' } });
  };
  const page = async (path: string): Promise<{ items: Body[]; next: string | undefined }> => {
    const { status, body } = await flotilla.call('GET', path);
    expect(status, `${path} ${JSON.stringify(body)}`).to.equal(200);
    return { items: [...(body['items'] ?? [])], next: body['nextCursor'] as string | undefined };
  };
  const ids = (items: Body[]) => items.map((one) => String(one['id'] ?? one['name']));

  it('compares If-Match with the generation in every operation that declares it, before it does anything', async () => {
    const declaring = documentedOperations().filter((one) => one.parameters.includes('If-Match'));
    expect(declaring.map((one) => one.id)).to.have.members([
      'machines_update',
      'machines_updateInterface',
      'machines_updateBalloon',
      'machines_updateThrottle',
      'machines_remove',
      ...['start', 'stop', 'restart', 'kill', 'pause', 'resume'].map((action) => `machines_${action}`),
      ...['update', 'remove', 'start', 'stop', 'refresh'].map((action) => `pools_${action}`),
      ...['attach', 'detach'].map((action) => `machineDisks_${action}`), // with the suite of volumes
      ...['update', 'move', 'remove'].map((action) => `volumes_${action}`),
      ...['networks_update', 'networks_remove', 'networkForwards_add', 'networkForwards_remove'],
    ]);
    const bodies: Record<string, object> = {
      machines_updateInterface: { link: 'down' },
      machines_updateBalloon: { targetMiB: 1 },
      machines_updateThrottle: { kind: 'rng', limits: {} },
    };
    for (const { method, path, id } of declaring.filter((one) => one.id.startsWith('machines_'))) {
      await flotilla.change('POST', '/v1/machines', machine('tagged', { start: id !== 'machines_start', disks: [], balloon: {} }));
      if (id === 'machines_resume') await flotilla.change('POST', '/v1/machines/tagged/pause', {});
      const old = (await flotilla.call('GET', '/v1/machines/tagged')).headers.get('etag') ?? '';
      await flotilla.call('PATCH', '/v1/machines/tagged', { body: { labels: { changed: 'meanwhile' } } });
      const before = await flotilla.call('GET', '/v1/machines/tagged');
      const tag = before.headers.get('etag') ?? '';
      expect(tag).not.to.equal(old);
      const ask = (ifMatch: string) =>
        flotilla.call(
          method,
          `${path.replace('{machine}', 'tagged').replace('{interface}', 'eth0')}${id === 'machines_remove' ? '?force=true' : ''}`,
          {
            ...(method === 'DELETE' ? {} : { body: bodies[id] ?? {} }),
            headers: { 'if-match': ifMatch, prefer: 'wait=20' },
          },
        );
      for (const wrong of [old, '"0"', '"x", "y"']) {
        const stale = await ask(wrong);
        expect([stale.status, stale.body['code']], `${id} with ${wrong}`).to.deep.equal([412, 'precondition.failed']);
      }
      expect((await flotilla.call('GET', '/v1/machines/tagged')).body, id).to.deep.equal(before.body);
      const fits = await ask(`"0", ${tag}`);
      expect(fits.status, `${id}: ${JSON.stringify(fits.body)}`).to.equal(200);
      if (id !== 'machines_remove') await flotilla.change('DELETE', '/v1/machines/tagged?force=true');
    }
  });

  it('compares If-Match with the generation of a pool too', async () => {
    const dir = { path: join(flotilla.directory, 'tagged-pool') };
    for (const { method, path, id } of documentedOperations().filter(
      (one) => one.id.startsWith('pools_') && one.parameters.includes('If-Match'),
    )) {
      await flotilla.change('POST', '/v1/pools', { name: 'tagged', kind: 'dir', dir, start: id !== 'pools_start' });
      const old = (await flotilla.call('GET', '/v1/pools/tagged')).headers.get('etag') ?? '';
      await flotilla.call('PATCH', '/v1/pools/tagged', { body: { autostart: false } });
      const before = await flotilla.call('GET', '/v1/pools/tagged');
      const ask = (ifMatch: string) =>
        flotilla.call(method, path.replace('{pool}', 'tagged'), {
          ...(method === 'DELETE' ? {} : { body: {} }),
          headers: { 'if-match': ifMatch, prefer: 'wait=20' },
        });
      const stale = await ask(old);
      expect([stale.status, stale.body['code']], id).to.deep.equal([412, 'precondition.failed']);
      expect((await flotilla.call('GET', '/v1/pools/tagged')).body['generation'], id).to.equal(before.body['generation']);
      const fits = await ask(before.headers.get('etag') ?? '');
      expect(fits.status, `${id}: ${JSON.stringify(fits.body)}`).to.equal(200);
      if (id !== 'pools_remove') await flotilla.change('DELETE', '/v1/pools/tagged');
    }
  });

  it('has a way to make more than one page in every list that has any', () => {
    expect(LISTS.map((one) => one.path)).to.have.members([
      ...['audit', 'hosts', 'images', 'keys', 'machines', 'networks', 'operations', 'pools', 'volumes'].map((name) => `/v1/${name}`),
      '/v1/networks/{network}/forwards',
    ]);
  });

  for (const { path: template, parameters } of LISTS) {
    const path = template.replace('{network}', 'default');
    it(`gives ${path} page by page, in order, none twice`, async () => {
      const all = ids((await page(`${path}?limit=200`)).items);
      const single = ['/v1/hosts', '/v1/pools', '/v1/networks'].includes(path);
      expect(all.length).to.be.above(single ? 0 : 2);
      const found: string[] = [];
      for (let cursor = ''; ; ) {
        const { items, next } = await page(`${path}?limit=1${cursor}`);
        expect(items).to.have.length(1);
        found.push(...ids(items));
        if (next === undefined) break;
        cursor = `&cursor=${next}`;
      }
      // Reading is not recorded: not even the audit log has grown.
      expect(found).to.deep.equal(all);
      const refused = await flotilla.call('GET', `${path}?cursor=nonsense`);
      expect([refused.status, refused.body['code'], refused.body['field']]).to.deep.equal([400, 'request.invalid_cursor', 'cursor']);
      for (const limit of ['0', '201', 'x', '1.5'])
        expect((await flotilla.call('GET', `${path}?limit=${limit}`)).body['code'], `limit=${limit}`).to.equal('request.invalid_query');
    });

    if (!parameters.includes('labels')) continue;
    it(`filters ${path} by labels and by name`, async () => {
      const labelled = ['/v1/images', '/v1/machines'].includes(path);
      const names = async (query: string) => (await page(`${path}?${query}`)).items.map((one) => String(one['name']));
      const all = await names('limit=200');
      const [red, second] = [await names('labels=team=red'), await names('labels=team=red,number=3')];
      expect(red).to.deep.equal(labelled ? all.filter((name) => /-[13]$/.test(name)) : []);
      expect(second).to.deep.equal(labelled ? all.filter((name) => name.endsWith('-3')) : []);
      expect(red).to.have.length(labelled ? 2 : 0); // what has no labels is not found by any
      expect(await names('labels=team=green')).to.deep.equal([]);
      expect(await names(`name=${all[0]}`)).to.deep.equal(all.filter((name) => name === all[0]));
      expect(await names('name=nothing')).to.deep.equal([]);
      for (const labels of ['broken', 'a=b,', '=x'])
        expect((await flotilla.call('GET', `${path}?labels=${labels}`)).body, labels).to.include({
          status: 400,
          code: 'request.invalid_query',
          field: 'labels',
        });
      if (labelled) {
        const { items, next } = await page(`${path}?labels=team=red&limit=1`);
        expect(ids(items).length).to.equal(1);
        const rest = await page(`${path}?labels=team=red&limit=1&cursor=${next}`);
        expect([...items, ...rest.items].map((one) => String(one['name']))).to.deep.equal(red);
        expect(rest.next).to.equal(undefined);
      }
    });
  }

  it('filters operations by target and by state', async () => {
    const [first] = (await page('/v1/machines?name=machine-1')).items;
    const [created] = (await page(`/v1/operations?target=${first?.['id']}`)).items;
    expect(created).to.deep.include({ kind: 'machine.create', state: 'succeeded' });
    expect((await page('/v1/operations?state=failed')).items).to.deep.equal([]);
    expect((await page('/v1/operations?state=succeeded&limit=200')).items.length).to.be.above(5);
  });
});
