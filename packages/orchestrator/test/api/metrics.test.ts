// SPDX-License-Identifier: Apache-2.0
import { networkInterfaces } from 'node:os';
import { expect } from 'chai';
import { machine, Orchestrator } from '../support/orchestrator.js';

describe('metrics', () => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator().start({ FLOTILLA_LISTEN: '0.0.0.0:0' });
  });
  after(() => flotilla.dispose());

  it('of the orchestrator are shown on loopback to everybody, those of machines to nobody without a key', async () => {
    const { status, body } = await flotilla.call('GET', '/metrics', { key: null });
    expect(status).to.equal(200);
    expect(body).to.contain('# TYPE flotilla_machines gauge').and.not.to.contain('flotilla_machines_silent');
    expect((await flotilla.call('GET', '/metrics')).body).to.contain('flotilla_machines_silent');
    expect((await flotilla.call('GET', '/metrics', { key: 'nonsense' })).status).to.equal(401);
  });

  it('tell of each machine that runs, by device and CPU, also one by one and in the form of the API', async () => {
    await flotilla.importImages();
    await flotilla.change('POST', '/v1/machines', machine('counted', { cpus: 2, disks: [], interfaces: [] }));
    const text = String((await flotilla.call('GET', '/metrics')).body);
    expect((await flotilla.call('GET', '/metrics', { key: null })).body).not.to.contain('counted');
    expect(text).to.match(/^flotilla_vcpu_exits_total\{machine="counted",vcpu="1",reason="port_out"\} \d+$/m);
    expect(text).to.match(/^flotilla_process_resident_bytes\{machine="counted"\} \d+$/m);
    expect(text).to.match(/^flotilla_serial_bytes_sent_total\{machine="counted",device="serial0"\} [1-9]\d*$/m);
    expect(text).to.match(/^flotilla_machines_silent 0$/m);
    for (const name of ['ready', 'capacity_bytes', 'available_bytes'])
      expect(text).to.match(new RegExp(`^flotilla_pool_${name}\\{pool="default"\\} [1-9]\\d*$`, 'm'));
    for (const line of text.split('\n')) expect(line).to.match(/^$|^# (HELP|TYPE) \w+ .+$|^\w+(\{(\w+="[^"]*",?)+\})? [-+.\deNaInf]+$/);

    const key = String((await flotilla.call('POST', '/v1/keys', { body: { name: 'looker', role: 'viewer' } })).body['secret']);
    const { status, body } = await flotilla.call('GET', '/v1/machines/counted/stats', { key });
    expect(status).to.equal(200);
    expect(Date.now() - Date.parse(String(body['takenAt']))).to.be.lessThan(10_000);
    expect(Number(body['exits'])).to.be.greaterThan(0);
    expect([...(body['parts'] ?? [])].map(({ name }) => String(name))).to.include.members(['vcpu:0', 'vcpu:1', 'process', 'serial0']);
    expect((await flotilla.call('GET', '/v1/machines/counted/stats', { key: null })).status).to.equal(401);
    expect((await flotilla.call('GET', '/v1/machines/nobody/stats')).body['code']).to.equal('machine.not_found');

    await flotilla.change('POST', '/v1/machines/counted/kill', {});
    expect((await flotilla.call('GET', '/v1/machines/counted/stats')).body['code']).to.equal('machine.state_conflict');
    expect(String((await flotilla.call('GET', '/metrics')).body)).not.to.contain('machine="counted"');
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
