// SPDX-License-Identifier: Apache-2.0
import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import WebSocket from 'ws';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

describe('api and agent as two processes', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(undefined, true).start();
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  it('runs a machine with its console over the socket between them', async () => {
    await flotilla.change('POST', '/v1/machines', machine('far'));
    const client = new WebSocket(`${flotilla.url.replace('http', 'ws')}/v1/machines/far/console?write=true&offset=0`, {
      headers: { authorization: `Bearer ${flotilla.key}` },
    });
    let text = '';
    client.on('message', (data, binary) => {
      if (binary) text += (data as Buffer).toString();
    });
    await new Promise((resolve) => client.once('open', resolve));
    client.send(Buffer.from('uname -a\r'));
    await flotilla.waitFor('the answer of the guest', async () => text.includes('Linux fake'));
    client.send(Buffer.from('poweroff\r'));
    await flotilla.waitFor(
      'stopped',
      async () => (await flotilla.call('GET', '/v1/machines/far')).body['observed']?.['state'] === 'stopped',
    );
    expect((await flotilla.call('GET', '/v1/machines/far/logs')).body).to.contain('Linux fake');
    await flotilla.change('DELETE', '/v1/machines/far');
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });

  it('has volumes in a storage pool, which an agent that was killed finds again', async () => {
    const path = join(flotilla.directory, 'pool');
    await flotilla.change('POST', '/v1/pools', { name: 'far', kind: 'dir', dir: { path } });
    await flotilla.change(
      'POST',
      '/v1/machines',
      machine('pooled', { disks: [{ name: 'root', image: 'd', clone: 'linked', pool: 'far' }] }),
    );
    await flotilla.killAgentHard();
    await flotilla.startAgent();
    await flotilla.change('POST', '/v1/machines/pooled/kill', {});
    await flotilla.change('POST', '/v1/machines/pooled/start', {});
    const told = flotilla.guest(String((await flotilla.call('GET', '/v1/machines/pooled')).body['id'])).spec.disks[0];
    expect(told?.path).to.contain(join(path, 'volumes'));
    await flotilla.change('DELETE', '/v1/machines/pooled?force=true');
    await flotilla.change('DELETE', '/v1/pools/far');
    expect(existsSync(path)).to.equal(false);
  });

  it('keeps machines through a restart of the api', async () => {
    await flotilla.change('POST', '/v1/machines', machine('kept'));
    await flotilla.killHard();
    await flotilla.start();
    expect((await flotilla.call('GET', '/v1/machines/kept')).body['observed']?.['state']).to.equal('running');
    await flotilla.change('DELETE', '/v1/machines/kept?force=true');
  });

  it('keeps machines through a kill -9 of the agent, and goes on with what that interrupted', async () => {
    await flotilla.change('POST', '/v1/machines', machine('kept'));
    const before = (await flotilla.call('GET', '/v1/machines/kept')).body['observed'];
    const source = join(flotilla.directory, 'large');
    writeFileSync(source, '');
    truncateSync(source, 3 * 2 ** 30);
    const { body: importing } = await flotilla.call('POST', '/v1/images', {
      body: { name: 'large', kind: 'disk', format: 'raw', source: { path: source } },
    });
    const operation = async () => (await flotilla.call('GET', `/v1/operations/${importing['id']}`)).body;
    await flotilla.waitFor('the agent copies', async () => Number((await operation())['progress']?.['bytes'] ?? 0) > 0);
    await flotilla.killAgentHard();
    expect(flotilla.workers(), 'workers outlive the agent').to.have.length(1);
    truncateSync(source, 4096); // should it be tried again, it is soon done
    await flotilla.startAgent();
    const ended = await flotilla.waitFor<Body>('the import ends', async () => {
      const found = await operation();
      return ['succeeded', 'failed'].includes(String(found['state'])) ? found : undefined;
    });
    if (ended['state'] === 'failed') expect(ended['error']).to.include({ code: 'host.unavailable' }).and.to.have.property('remedy');
    const image = await flotilla.call('GET', '/v1/images/large');
    expect(image.status, 'whole or not at all').to.equal(ended['state'] === 'failed' ? 404 : 200);
    await flotilla.change('POST', '/v1/machines/kept/pause', {});
    await flotilla.change('POST', '/v1/machines/kept/resume', {});
    const after = (await flotilla.call('GET', '/v1/machines/kept')).body['observed'];
    expect([after?.['state'], after?.['workerPid'], after?.['restarts']]).to.deep.equal(['running', before?.['workerPid'], 0]);
    await flotilla.change('DELETE', '/v1/machines/kept?force=true');
    if (image.status === 200) await flotilla.change('DELETE', '/v1/images/large');
    await flotilla.waitFor('nothing is left', async () => flotilla.leftovers().length === 0);
  });

  it('carries errors of the agent with code and field', async () => {
    const answer = await flotilla.call('POST', '/v1/images', {
      body: { name: 'none', kind: 'disk', format: 'raw', source: { path: '/nowhere' } },
      headers: { prefer: 'wait=20' },
    });
    expect(answer.body['error']).to.include({ code: 'file.missing', field: 'source.path', status: 422 });
  });

  it('takes an upload through to the agent', async () => {
    const response = await fetch(`${flotilla.url}/v1/images/up/content?kind=disk&format=raw`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
      body: Buffer.alloc(2_000_000, 3),
    });
    expect(response.status).to.equal(201);
  });

  it('removes the file of a deleted image once an agent that was away is back', async () => {
    const images = join(flotilla.directory, 'data/host/pools/default/images');
    const id = String((await flotilla.call('GET', '/v1/images/d')).body['id']);
    await flotilla.stopAgent();
    const { body } = await flotilla.call('DELETE', '/v1/images/d');
    const state = async () => (await flotilla.call('GET', `/v1/operations/${body['id']}`)).body['state'];
    await flotilla.waitFor('it is tried', async () => (await state()) !== 'pending');
    await flotilla.startAgent();
    await flotilla.waitFor('it has succeeded', async () => (await state()) === 'succeeded');
    expect(existsSync(join(images, id))).to.equal(false);
    expect(flotilla.setAside()).to.deep.equal([]);
  });

  it('frees the name of an upload that the agent has left', async () => {
    const upload = () =>
      fetch(`${flotilla.url}/v1/images/again/content?kind=disk&format=raw`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${flotilla.key}`, 'content-type': 'application/octet-stream' },
        body: Buffer.alloc(4096, 3),
      });
    await flotilla.stopAgent();
    const refused = await upload();
    expect([refused.status, ((await refused.json()) as { code: string }).code]).to.deep.equal([503, 'host.unavailable']);
    expect((await flotilla.call('GET', '/v1/images/again')).status).to.equal(404);
    await flotilla.startAgent();
    expect((await upload()).status).to.equal(201);
  });
});

describe('an api that is there before its agent', () => {
  const flotilla = new Orchestrator(undefined, true);

  after(() => flotilla.dispose());

  it('is ready soon after the agent has come', async () => {
    await flotilla.startWithoutAgent();
    const ready = async () => (await flotilla.call('GET', '/health/ready', { key: null })).status;
    await flotilla.waitFor('an attempt that failed', async () => flotilla.log.includes('could not be adopted'));
    expect(await ready()).to.equal(503);
    await flotilla.startAgent();
    await flotilla.waitFor('ready', async () => (await ready()) === 200);
    await flotilla.importImages();
    await flotilla.change('POST', '/v1/machines', machine('late'));
    await flotilla.change('DELETE', '/v1/machines/late?force=true');
  });

  it('stops at once when no agent comes', async () => {
    const alone = await new Orchestrator(undefined, true).startWithoutAgent();
    try {
      await alone.waitFor('an attempt that failed', async () => alone.log.includes('could not be adopted'));
      expect(await alone.stop()).to.equal(0);
    } finally {
      await alone.dispose();
    }
  });
});
