// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import { type Answer, machine, Orchestrator } from '../support/orchestrator.js';

const DISK = Buffer.alloc(2 * 2 ** 20, 'disk');
const sha256 = createHash('sha256').update(DISK).digest('hex');

describe('an image from a URL', () => {
  let flotilla: Orchestrator;
  let operator: string;
  let server: Server;
  let url: string;
  let answer: RequestListener;
  let count = 0;

  beforeEach((done) => {
    answer = (_, response) => void response.writeHead(200, { 'content-length': DISK.length, etag: '"disk"' }).end(DISK);
    server = createServer((request, response) => answer(request, response)).listen(0, '127.0.0.1', () => {
      url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/images/disk.raw`;
      done();
    });
  });
  afterEach(async () => {
    server.closeAllConnections();
    server.close();
    await flotilla.dispose();
  });

  const begin = async (environment: Record<string, string> = {}, split = false) => {
    flotilla = await new Orchestrator(undefined, split).start(environment);
    operator = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'operator', role: 'operator' } })).body['secret']);
  };
  const load = (more: object = {}, { key = flotilla.key, wait = 20 } = {}): Promise<Answer> => {
    count += 1;
    const body = { name: `image-${count}`, kind: 'disk', format: 'raw', source: { url }, sha256, ...more };
    return flotilla.call('POST', '/v1/images', { key, body, headers: { prefer: `wait=${wait}` } });
  };
  const files = () => readdirSync(join(flotilla.directory, 'data/host/pools/default/images'));

  for (const split of [false, true]) {
    it(`is downloaded, checked, and a machine starts from it, ${split ? 'by an agent of its own' : 'in one process'}`, async () => {
      await begin({}, split);
      await flotilla.importImages();
      const { body } = await load({ name: 'far', source: { url: `${url}?token=secret` } });
      expect(body['state']).to.equal('succeeded');
      const image = (await flotilla.call('GET', '/v1/images/far')).body;
      expect(image).to.include({ state: 'ready', sha256, sizeBytes: DISK.length });
      expect(image['source'], 'what may be a right is not shown').to.deep.equal({ url: `${url}?…` });
      const made = await flotilla.call('POST', '/v1/machines', {
        body: machine('from-far', { disks: [{ name: 'root', image: 'far' }] }),
        headers: { prefer: 'wait=20' },
      });
      expect(made.body['state']).to.equal('succeeded');
      expect(JSON.stringify((await flotilla.call('GET', '/v1/audit')).body)).not.to.contain('secret');
    });
  }

  it('that is not what it should be leaves nothing', async () => {
    await begin();
    expect((await load({ sha256: '0'.repeat(64) })).body['error']).to.include({ code: 'image.checksum_mismatch', field: 'sha256' });
    expect((await load({ format: 'qcow2' })).body['error']).to.include({ code: 'image.format_mismatch', field: 'format' });
    answer = (_, response) => void response.writeHead(404).end();
    expect((await load()).body['error']).to.include({ code: 'image.source_failed', status: 502, field: 'source.url' });
    expect((await flotilla.call('GET', '/v1/images')).body['items']).to.deep.equal([]);
    expect(files()).to.deep.equal([]);
  });

  it('is refused with the field at fault', async () => {
    await begin();
    const refusals: [object, string, string][] = [
      [{ source: {} }, 'request.invalid_value', 'source'],
      [{ source: { url, path: '/etc/passwd' } }, 'request.invalid_value', 'source'],
      [{ source: { url: 'ftp://example.org/disk' } }, 'request.invalid_value', 'source.url'],
      [{ source: { url: 'https://user:word@example.org/disk' } }, 'request.invalid_value', 'source.url'],
      [{ source: { url: 'https://' } }, 'request.invalid_value', 'source.url'],
      [{ source: { url: `https://example.org/${'a'.repeat(2048)}` } }, 'request.invalid_value', 'source.url'],
      [{ sha256: undefined }, 'request.missing_field', 'sha256'],
    ];
    for (const [more, code, field] of refusals) {
      const { status, body } = await load(more);
      expect([status, body['code'], body['field']], JSON.stringify(more).slice(0, 80)).to.deep.equal([422, code, field]);
      expect(body['remedy']).to.be.a('string').and.not.equal('');
    }
  });

  it('may come from this host for administrators and named hosts alone', async () => {
    await begin();
    expect((await load({}, { key: operator })).body['error']).to.include({ code: 'image.source_refused', field: 'source.url' });
    expect((await load({ source: { url: 'http://169.254.169.254/latest/' } })).body['error']).to.include({ code: 'image.source_refused' });
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_DOWNLOAD_HOSTS: '*.example.org,127.0.0.1' });
    expect((await load({}, { key: operator })).body['state']).to.equal('succeeded');
    expect((await load({ source: { url: 'http://localhost:1/' } })).body['error']).to.include({ code: 'image.source_refused' });
  });

  it('that a client calls off while the server sends nothing is gone', async () => {
    await begin();
    answer = (_, response) => void response.writeHead(200, { 'content-length': DISK.length }).write(DISK.subarray(0, 100_000));
    const id = String((await load({ name: 'slow' }, { wait: 0 })).body['id']);
    await flotilla.waitFor(
      'the state',
      async () => Number((await flotilla.call('GET', `/v1/operations/${id}`)).body['progress']?.['bytes'] ?? 0) > 0,
    );
    await flotilla.call('POST', `/v1/operations/${id}/cancel`);
    await flotilla.waitFor('the state', async () => (await flotilla.call('GET', `/v1/operations/${id}`)).body['state'] === 'cancelled');
    expect((await flotilla.call('GET', '/v1/images/slow')).status).to.equal(404);
    expect(files()).to.deep.equal([]);
  });

  it('is brought by the next process when one is killed in the middle', async () => {
    await begin();
    const whole = answer;
    let asked = 0;
    answer = (request, response) => {
      asked += 1;
      if (asked > 1) whole(request, response);
      else response.writeHead(200, { 'content-length': DISK.length }).write(DISK.subarray(0, 100_000));
    };
    const id = String((await load({ name: 'cut' }, { wait: 0 })).body['id']);
    await flotilla.waitFor(
      'the state',
      async () => Number((await flotilla.call('GET', `/v1/operations/${id}`)).body['progress']?.['bytes'] ?? 0) > 0,
    );
    await flotilla.killHard();
    await flotilla.start();
    await flotilla.waitFor('the state', async () => (await flotilla.call('GET', `/v1/operations/${id}`)).body['state'] === 'succeeded');
    expect((await flotilla.call('GET', '/v1/images/cut')).body).to.include({ state: 'ready', sha256 });
    expect(files()).to.have.length(1);
  });
});
