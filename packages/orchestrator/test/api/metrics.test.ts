// SPDX-License-Identifier: Apache-2.0
import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { Orchestrator } from '../support/orchestrator.js';

describe('metrics', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_LISTEN: '0.0.0.0:0' });
  });
  after(() => flotilla.dispose());

  it('are shown on loopback to everybody', async () => {
    const { status, body } = await flotilla.call('GET', '/metrics', { key: null });
    expect(status).to.equal(200);
    expect(body).to.contain('flotilla_machines');
  });

  it('are shown elsewhere to who has a key, whatever its role', async function () {
    const address = Object.values(networkInterfaces())
      .flat()
      .find((one) => one?.family === 'IPv4' && !one.internal)?.address;
    if (address === undefined) this.skip(); // a host with nothing but loopback
    const key = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'scraper', role: 'viewer' } })).body['secret']);
    flotilla.url = flotilla.url.replace('0.0.0.0', address);
    for (const wrong of [null, 'nonsense', `${key}x`]) {
      const { status, body } = await flotilla.call('GET', '/metrics', { key: wrong });
      expect([status, body['code']], String(wrong)).to.deep.equal([401, 'auth.missing']);
      expect(body).to.have.property('remedy');
    }
    expect((await flotilla.call('GET', '/metrics', { key })).body).to.contain('flotilla_machines');
  });
});
