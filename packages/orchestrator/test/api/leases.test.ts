// SPDX-License-Identifier: Apache-2.0
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { onEachDatabase } from '../support/databases.js';
import { type Body, machine, Orchestrator } from '../support/orchestrator.js';

// The fake network reads a lease file as that of dnsmasq is. With the real one: nat-network.spec.ts.
onEachDatabase('leases', (makeDatabase, name) => {
  let flotilla: Orchestrator;

  before(async () => {
    flotilla = await new Orchestrator(await makeDatabase(), name === 'SQLite').start({ FLOTILLA_RECONCILE_MS: '60000' }); // what follows is told by events, not by the periodic look
    await flotilla.importImages();
  });

  after(() => flotilla.dispose());

  it('are shown once the guest has taken its address, with events for taken, renewed and ended', async () => {
    await flotilla.change('POST', '/v1/machines', machine('guest'));
    const reserved = await address('guest');
    expect(reserved['address']).to.match(/^10\.77\./);
    expect(reserved).to.not.have.any.keys('lease');
    expect(await lease())
      .to.include({ state: 'reserved', ip: String(reserved['address']) })
      .and.to.not.have.property('expiresAt');

    const first = Math.floor(Date.now() / 1000) + 3600;
    writeLeases(`${first} ${reserved['mac']} ${reserved['address']} itself *\n`);
    const taken = await flotilla.waitFor<Body>('the lease', async () => {
      const found = await address('guest');
      return found['lease'];
    });
    expect(taken).to.deep.equal({ ip: reserved['address'], expiresAt: new Date(first * 1000).toISOString(), hostname: 'itself' });
    expect(await lease()).to.include({ state: 'taken', expiresAt: String(taken['expiresAt']) });

    writeLeases(`${first + 60} ${reserved['mac']} ${reserved['address']} itself *\n`);
    await flotilla.waitFor(
      'the renewal',
      async () => (await address('guest'))['lease']?.['expiresAt'] === new Date((first + 60) * 1000).toISOString(),
    );

    await flotilla.change('POST', '/v1/machines/guest/kill', {});
    expect(await address('guest')).to.not.have.any.keys('lease');
    expect((await lease())['state']).to.equal('reserved');

    const events = await leaseEvents(3);
    expect(events.map((event) => event['data']?.['state'])).to.deep.equal(['taken', 'renewed', 'ended']);
    const id = (await flotilla.call('GET', '/v1/machines/guest')).body['id'];
    expect(events[0]?.['data']).to.deep.equal({
      state: 'taken',
      machine: id,
      machineName: 'guest',
      interface: 'eth0',
      mac: reserved['mac'],
      ip: reserved['address'],
      expiresAt: new Date(first * 1000).toISOString(),
      hostname: 'itself',
    });
    expect(events[0]?.['target']?.['kind']).to.equal('network');
  });

  it('of the guest before are not those of a machine that was started again', async () => {
    await flotilla.change('POST', '/v1/machines', machine('witness'));
    const lease = async (name: string, secondsAgo: number) => {
      const { mac, address: ip } = (await address(name)) as unknown as Record<string, string>;
      return `${Math.floor(Date.now() / 1000) + 3600 - secondsAgo} ${mac} ${ip} * *\n`;
    };
    writeLeases(await lease('guest', 20));
    await flotilla.change('POST', '/v1/machines/guest/start', {});
    writeLeases((await lease('guest', 10)) + (await lease('witness', 0)));
    // One look shows the leases of all: that of the witness tells that the other was looked at too.
    await flotilla.waitFor('the lease of the witness', async () => (await address('witness'))['lease'] !== undefined);
    expect(await address('guest')).to.not.have.any.keys('lease');
    writeLeases(await lease('guest', 0));
    await flotilla.waitFor('the new lease', async () => (await address('guest'))['lease'] !== undefined);
  });

  async function address(machineName: string): Promise<Body> {
    return (await flotilla.call('GET', `/v1/machines/${machineName}`)).body['observed']?.['addresses']?.[0] as Body;
  }

  async function lease(): Promise<Body> {
    return (await flotilla.call('GET', '/v1/networks/default')).body['leases']?.[0] as Body;
  }

  /** In place, as dnsmasq writes it. */
  function writeLeases(text: string): void {
    writeFileSync(join(flotilla.directory, 'run/fake/leases'), text); // in place, as dnsmasq does
  }

  async function leaseEvents(count: number): Promise<Body[]> {
    const stop = AbortSignal.timeout(10_000);
    const response = await fetch(`${flotilla.url}/v1/events?after=0&kinds=network.lease`, {
      headers: { authorization: `Bearer ${flotilla.key}` },
      signal: stop,
    });
    const events: Body[] = [];
    let text = '';
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk as Uint8Array).toString();
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) if (line.startsWith('data: ')) events.push(JSON.parse(line.slice(6)) as Body);
      if (events.length >= count) break;
    }
    return events;
  }
});
