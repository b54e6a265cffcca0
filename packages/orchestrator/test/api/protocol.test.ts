// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import WebSocket from 'ws';
import { onEachDatabase } from '../support/databases.js';
import { documentedOperations } from '../support/api-document.js';
import { follow } from '../support/follow.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

onEachDatabase('protocol', (makeDatabase) => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase()).start({ FLOTILLA_EVENT_WINDOW: '100000' });
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  it('answers a repeat with the same Idempotency-Key as the first time', async () => {
    const headers = { 'idempotency-key': 'once' };
    const body = machine('idem', { start: false });
    const first = await flotilla.call('POST', '/v1/machines', { body, headers });
    await flotilla.call('GET', `/v1/operations/${first.body['id']}`, { headers: { prefer: 'wait=20' } });
    const again = await flotilla.call('POST', '/v1/machines', { body: { ...body, start: false }, headers });
    expect(again.body['id']).to.equal(first.body['id']);
    expect(again.body['state']).to.equal('succeeded');
    expect(again.headers.get('idempotent-replayed')).to.equal('true');
    const other = await flotilla.call('POST', '/v1/machines', { body: machine('other'), headers });
    expect([other.status, other.body['code']]).to.deep.equal([422, 'idempotency.mismatch']);
    const pair = await Promise.all(
      [1, 2].map(() =>
        flotilla.call('POST', '/v1/machines', { body: machine('pair', { start: false }), headers: { 'idempotency-key': 'twice' } }),
      ),
    );
    const codes = pair.map((answer) => answer.status);
    expect(codes).to.include(202);
    for (const answer of pair) {
      if (answer.status === 202) continue;
      expect([answer.body['code'], answer.headers.get('retry-after')]).to.deep.equal(['idempotency.in_flight', '1']);
    }
    const refused = await flotilla.call('POST', '/v1/machines', { body: { name: 'x' }, headers: { 'idempotency-key': 'mended' } });
    expect(refused.status).to.equal(422);
    expect(
      (await flotilla.call('POST', '/v1/machines', { body: machine('mended', { start: false }), headers: { 'idempotency-key': 'mended' } }))
        .status,
    ).to.equal(202);
  });

  it('answers the repeat of a change or delete as the first time too, whose answer was lost', async () => {
    const twice = async (method: string, path: string, key: string, body?: unknown) => {
      const ask = () => flotilla.call(method, path, { headers: { 'idempotency-key': key }, ...(body === undefined ? {} : { body }) });
      return [await ask(), await ask()] as const;
    };
    await flotilla.change('POST', '/v1/machines', machine('lost', { start: false }));
    const changed = await twice('PATCH', '/v1/machines/lost', 'change', { labels: { a: 'b' } });
    expect(changed.map(({ status, body }) => [status, body['generation']])).to.deep.equal([
      [200, 2],
      [200, 2],
    ]);
    expect(changed[1].headers.get('etag')).to.equal('W/"2"');
    const deleted = await twice('DELETE', '/v1/machines/lost', 'remove');
    expect(deleted.map(({ status }) => status)).to.deep.equal([202, 202]);
    expect(deleted[1].body['id']).to.equal(deleted[0].body['id']);
    const other = await flotilla.call('DELETE', '/v1/machines/lost?force=true', { headers: { 'idempotency-key': 'remove' } });
    expect(other.body['code'], 'another query is another request').to.equal('idempotency.mismatch');
    await flotilla.call('POST', '/v1/keys', { body: { name: 'brief', role: 'viewer' } });
    expect((await twice('DELETE', '/v1/keys/brief', 'forget')).map(({ status }) => status)).to.deep.equal([204, 204]);
    expect((await flotilla.call('DELETE', '/v1/keys/brief')).status).to.equal(404);
  });

  it('pages lists by cursor and filters them by labels', async () => {
    for (let i = 0; i < 5; i += 1)
      await flotilla.change(
        'POST',
        '/v1/machines',
        machine(`page-${i}`, { start: false, disks: [], interfaces: [], labels: { group: i % 2 === 0 ? 'even' : 'odd', run: 'paging' } }),
      );
    const names: string[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await flotilla.call('GET', `/v1/machines?limit=2&labels=run=paging${cursor}`);
      for (const item of (body['items'] as Iterable<Body> | undefined) ?? []) names.push(String(item['name']));
      if (body['nextCursor'] === undefined) break;
      cursor = `&cursor=${body['nextCursor']}`;
    }
    expect(names).to.deep.equal(['page-0', 'page-1', 'page-2', 'page-3', 'page-4']);
    const even = await flotilla.call('GET', '/v1/machines?labels=group=even,run=paging');
    expect(even.body['items']).to.have.length(3);
    expect((await flotilla.call('GET', '/v1/machines?name=page-3')).body['items']).to.have.length(1);
    expect((await flotilla.call('GET', '/v1/machines?cursor=nonsense')).body['code']).to.equal('request.invalid_cursor');
    for (const query of ['limit=0', 'limit=201', 'limit=x', 'labels=broken', 'unknown=1'])
      expect((await flotilla.call('GET', `/v1/machines?${query}`)).status, query).to.be.within(400, 422);
  });

  it('takes labels for what can carry them, and refuses them for the rest', async () => {
    for (const list of ['machines', 'images', 'networks', 'volumes'])
      expect((await flotilla.call('GET', `/v1/${list}?labels=a=b`)).body['items']).to.have.length(0);
    for (const list of ['pools', 'hosts', 'operations', 'keys', 'audit']) {
      const { status, body } = await flotilla.call('GET', `/v1/${list}?labels=a=b`);
      expect([status, body['field']], list).to.deep.equal([422, 'labels']);
    }
    expect(
      documentedOperations()
        .filter(({ parameters }) => parameters.includes('labels'))
        .map(({ path }) => path),
    ).to.have.members(['/v1/machines', '/v1/networks', '/v1/volumes', '/v1/images', '/v1/images/{image}/content']);
  });

  it('holds the answer for Prefer: wait, and answers as it stands when the time is over', async () => {
    const slow = machine('waiting', { boot: { kernel: 'k', commandLine: 'fake.boot_ms=1500' } });
    const answer = await flotilla.call('POST', '/v1/machines', { body: slow, headers: { prefer: 'wait=0' } });
    expect(answer.status).to.equal(202);
    expect(answer.headers.get('location')).to.equal(`/v1/operations/${answer.body['id']}`);
    const ended = await flotilla.call('GET', `/v1/operations/${answer.body['id']}`, { headers: { prefer: 'wait=20' } });
    expect(ended.body['state']).to.equal('succeeded');
    expect((await flotilla.call('POST', `/v1/operations/${answer.body['id']}/cancel`)).body['code']).to.equal('operation.not_cancellable');
    expect((await flotilla.call('GET', '/v1/operations/op-none', { headers: { prefer: 'wait=soon' } })).body['code']).to.equal(
      'request.invalid_header',
    );
    await flotilla.change('DELETE', '/v1/machines/waiting?force=true');
  });

  it('streams events, resumes after the last one seen, and says when that is too old', async () => {
    const all = await follow(flotilla, '/v1/events?after=0', (events) => events.some((event) => event['kind'] === 'machine.deleted'));
    const ids = all.map((event) => Number(event['id']));
    expect(ids).to.deep.equal([...ids].sort((a, b) => a - b));
    const middle = ids[Math.floor(ids.length / 2)] ?? 0;
    const rest = await follow(flotilla, '/v1/events', (events) => events.length >= 3, { 'last-event-id': String(middle) });
    expect(Number(rest[0]?.['id'])).to.equal(middle + 1);
    let live: Promise<Body[]> | undefined;
    await new Promise<void>((opened) => {
      const runs = (events: Body[]) => events.some((event) => event['data']?.['state'] === 'running');
      live = follow(flotilla, '/v1/events?kinds=machine.*', runs, {}, opened);
    });
    await flotilla.change('POST', '/v1/machines', machine('live'));
    expect((await live)?.map((event) => event['kind'])).to.deep.equal(['machine.created', 'machine.state']);
    expect((await flotilla.call('GET', '/v1/events?after=99999999')).status).to.equal(410);
    expect((await flotilla.call('GET', '/v1/events', { headers: { 'last-event-id': 'x' } })).body['code']).to.equal(
      'request.invalid_header',
    );
  });

  it('lets each role do what is its own, and audits also what it denies', async () => {
    const make = async (role: string) => String((await flotilla.call('POST', '/v1/keys', { body: { name: role, role } })).body['secret']);
    const [viewer, operator] = [await make('viewer'), await make('operator')];
    expect((await flotilla.call('GET', '/v1/machines', { key: viewer })).status).to.equal(200);
    const denied = await flotilla.call('POST', '/v1/machines', { body: machine('no'), key: viewer });
    expect([denied.status, denied.body['code']]).to.deep.equal([403, 'auth.forbidden']);
    expect(denied.body['detail']).to.contain('machines:write');
    expect((await flotilla.call('POST', '/v1/machines', { body: machine('yes', { start: false }), key: operator })).status).to.equal(202);
    for (const key of [viewer, operator])
      for (const path of ['/v1/keys', '/v1/audit']) expect((await flotilla.call('GET', path, { key })).status).to.equal(403);
    expect((await flotilla.call('GET', '/v1/machines', { key: null })).body['code']).to.equal('auth.missing');
    expect(
      (await flotilla.call('GET', '/v1/machines', { key: 'flo_00000000000000000000000000_0000000000000000000000000000000000000000000' }))
        .body['code'],
    ).to.equal('auth.invalid');
    const audit = (await flotilla.call('GET', '/v1/audit?limit=200')).body['items'] ?? [];
    const found = [...audit].find((row) => row['requestId'] === denied.headers.get('x-request-id'));
    expect(found).to.include({ actor: 'viewer', permission: 'machines:write', outcome: 'denied', status: 403, code: 'auth.forbidden' });
    expect((await flotilla.call('DELETE', '/v1/keys/admin')).body['code']).to.equal('key.last_admin');
    expect((await flotilla.call('DELETE', '/v1/keys/viewer')).status).to.equal(204);
    expect((await flotilla.call('GET', '/v1/whoami', { key: viewer })).status).to.equal(401);
  });

  it('lets a guest into the host agent for administrators only', async () => {
    const operator = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'insider', role: 'operator' } })).body['secret']);
    const body = machine('inside', { start: false, isolation: 'in-process', disks: [], interfaces: [] });
    const denied = await flotilla.call('POST', '/v1/machines', { body, key: operator });
    expect([denied.status, denied.body['code'], denied.body['field']]).to.deep.equal([403, 'auth.forbidden', 'isolation']);
    expect(denied.body['detail']).to.contain('machines:in-process');
    expect((await flotilla.call('POST', '/v1/machines', { body })).status).to.equal(202);
  });

  it('lets a guest use the network of the host for administrators only', async () => {
    const operator = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'networker', role: 'operator' } })).body['secret']);
    const body = machine('networked', { start: false, disks: [], interfaces: [{ name: 'eth0', user: {} }] });
    const denied = await flotilla.call('POST', '/v1/machines', { body, key: operator });
    expect([denied.status, denied.body['code'], denied.body['field']]).to.deep.equal([403, 'auth.forbidden', 'interfaces[0].user']);
    expect(denied.body['detail']).to.contain('machines:user-network');
    expect((await flotilla.call('POST', '/v1/machines', { body })).status).to.equal(202);
    const onLink = machine('beside', { start: false, disks: [], interfaces: [{ name: 'eth0', macvtap: { parent: 'eth1' } }] });
    const refused = await flotilla.call('POST', '/v1/machines', { body: onLink, key: operator });
    expect([refused.status, refused.body['field']]).to.deep.equal([403, 'interfaces[0].macvtap']);
    expect(refused.body['detail']).to.contain('machines:host-link');
  });

  it('lets a guest have a folder of the host for administrators only', async () => {
    const operator = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'sharer', role: 'operator' } })).body['secret']);
    const body = machine('sharing', { start: false, disks: [], interfaces: [], shares: [{ tag: 'data', path: '/srv' }] });
    const denied = await flotilla.call('POST', '/v1/machines', { body, key: operator });
    expect([denied.status, denied.body['code'], denied.body['field']]).to.deep.equal([403, 'auth.forbidden', 'shares']);
    expect(denied.body['detail']).to.contain('machines:shares');
    const nowhere = await flotilla.call('POST', '/v1/machines', { body });
    expect([nowhere.status, nowhere.body['code'], nowhere.body['field']]).to.deep.equal([403, 'share.forbidden', 'shares[0].path']);
    expect(nowhere.body['remedy']).to.contain('--share-root').and.contain('FLOTILLA_SHARE_ROOTS');
  });

  it('ends consoles and event streams with the key they were opened by, and no others', async () => {
    await flotilla.change('POST', '/v1/machines', machine('held'));
    const secret = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'leaving', role: 'operator' } })).body['secret']);
    const open = (key: string) =>
      new WebSocket(`${flotilla.url.replace('http', 'ws')}/v1/machines/held/console?offset=0`, {
        headers: { authorization: `Bearer ${key}` },
      });
    const [theirs, ours] = [open(secret), open(flotilla.key)];
    const closed = new Promise<number>((resolve) => {
      theirs.once('close', resolve);
    });
    await Promise.all(
      [theirs, ours].map(
        (socket) =>
          new Promise((resolve) => {
            socket.once('message', resolve);
          }),
      ),
    );
    const stream = await fetch(`${flotilla.url}/v1/events`, { headers: { authorization: `Bearer ${secret}` } });
    const streamEnded = stream.text().then(
      () => 'ended',
      () => 'ended',
    );
    expect((await flotilla.call('DELETE', '/v1/keys/leaving')).status).to.equal(204);
    expect(await closed).to.equal(4001);
    expect(await streamEnded).to.equal('ended');
    expect(ours.readyState).to.equal(WebSocket.OPEN);
    ours.close();
    await flotilla.change('DELETE', '/v1/machines/held?force=true');
  });

  it('says so when the secret of a new key cannot be shown again', async () => {
    const make = (name: string) =>
      flotilla.call('POST', '/v1/keys', { body: { name, role: 'viewer' }, headers: { 'idempotency-key': 'a-new-key' } });
    const first = await make('once');
    expect(first.status).to.equal(201);
    expect(first.body['secret']).to.match(/^flo_/);
    const again = await make('once');
    expect(again.status).to.equal(409);
    expect(again.body).to.include({ code: 'key.secret_shown_once', field: 'Idempotency-Key' }).and.not.to.have.property('secret');
    expect(again.body['detail']).to.contain(String(first.body['id']));
    expect(again.body['remedy']).to.contain(`DELETE /v1/keys/${first.body['id']}`);
    expect((await make('other')).body['code']).to.equal('idempotency.mismatch');
    expect((await flotilla.call('GET', '/v1/whoami', { key: String(first.body['secret']) })).status).to.equal(200);
  });

  it('finds no resource by a text that no database keeps', async () => {
    const routes = documentedOperations().filter(({ method, path }) => method === 'GET' && path.includes('{') && path.startsWith('/v1/'));
    expect(routes).to.have.length.above(8);
    for (const target of [
      ...routes.map(({ path }) => path.replace(/\{\w+\}/g, 'a%00b')),
      '/v1/operations?target=%00',
      '/v1/events?target=a%1f',
    ]) {
      const { status, body } = await flotilla.call('GET', target);
      expect([status, body['code']], target).to.deep.equal([400, 'request.malformed']);
    }
    const { status, body } = await flotilla.call('POST', '/v1/machines', { body: machine('nul', { boot: { kernel: 'k\0' } }) });
    expect([status, body['code'], body['field']]).to.deep.equal([422, 'request.invalid_type', 'boot.kernel']);
  });

  it('answers what the host and its pool are', async () => {
    const host = (await flotilla.call('GET', '/v1/hosts')).body['items']?.[0];
    expect(host?.['cpus']).to.be.above(0);
    expect((await flotilla.call('GET', `/v1/hosts/${host?.['id']}/doctor`)).body['checks']).to.have.length.above(0);
    expect((await flotilla.call('GET', '/v1/pools/default')).body).to.include({ kind: 'dir', state: 'ready' });
    expect((await flotilla.call('GET', '/v1/networks/default')).body['ipv4']?.['gateway']).to.match(/\.1$/);
    expect((await flotilla.call('GET', '/metrics', { key: null })).body).to.contain('flotilla_machines{state="stopped"}');
    expect((await flotilla.call('GET', '/health/ready', { key: null })).body).to.deep.equal({ status: 'ok' });
    expect((await flotilla.call('GET', '/openapi.json', { key: null })).body['openapi']).to.equal('3.1.0');
  });

  it('takes an image as the body of a request and checks it', async () => {
    const put = (query: string, content: Uint8Array) =>
      fetch(`${flotilla.url}/v1/images/up/content?${query}`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
        body: content,
      });
    const wrong = await put(`kind=disk&format=raw&sha256=${'0'.repeat(64)}`, Buffer.alloc(100_000, 1));
    expect(wrong.status).to.equal(422);
    expect(((await wrong.json()) as Body)['code']).to.equal('image.checksum_mismatch');
    const right = await put('kind=disk&format=raw', Buffer.alloc(3_000_000, 1));
    expect(right.status).to.equal(201);
    expect(((await right.json()) as Body)['sizeBytes']).to.equal(3_000_000);
    const labelled = await put('kind=disk&format=raw&labels=team%3Dred,run%3D1', Buffer.alloc(10, 1));
    expect([labelled.status, ((await labelled.json()) as Body)['code']]).to.deep.equal([409, 'image.name_taken']);
    await flotilla.change('DELETE', '/v1/images/up');
    const image = (await (await put('kind=disk&format=raw&labels=team%3Dred,run%3D1', Buffer.alloc(10, 1))).json()) as Body;
    expect(image['labels']).to.deep.equal({ team: 'red', run: '1' });
    expect((await flotilla.call('GET', '/v1/images?labels=run=1,team=red')).body['items']).to.have.length(1);
    await flotilla.change('DELETE', '/v1/images/up');
    const broken = await put('kind=disk&format=raw&labels=team', Buffer.alloc(10, 1));
    expect(broken.status).to.equal(400);
    expect((await broken.json()) as Body).to.include({ code: 'request.invalid_query', field: 'labels' });
    expect((await put('kind=disk&format=raw', Buffer.alloc(10, 1))).status).to.equal(201);
    expect((await flotilla.call('DELETE', '/v1/images/k')).body['code']).to.equal('image.in_use');
    await flotilla.change('DELETE', '/v1/images/up');
  });
});
