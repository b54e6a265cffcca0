// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Guest } from './lib/guest.js';
import { type HostState, hostState, run } from './lib/host.js';
import { useCloud } from './lib/suite.js';

/** What somebody else has on the host, which is to stay as it is. */
const other = 'br-other';

describe('Networks that were defined, with a real Linux', () => {
  const cloud = useCloud();
  let others: HostState;
  const kept = ({ links, rules }: HostState) => ({
    links: links.filter((name) => name === other),
    rules: rules.filter((text) => text.startsWith('table inet other')),
  });

  before(() => {
    run('ip', ['link', 'add', other, 'type', 'bridge']);
    run('nft', ['add', 'table', 'inet', 'other', '{ chain c { type filter hook forward priority 5 ; counter ; } ; }']);
    others = hostState();
  });
  after(async () => {
    await cloud().clear();
    expect(kept(hostState())).to.deep.equal(kept(others));
    run('ip', ['link', 'delete', other]);
    run('nft', ['delete', 'table', 'inet', 'other']);
  });

  const boot = (name: string, network: string, more: Record<string, unknown> = {}): Promise<Guest> =>
    cloud().boot(name, { interfaces: [{ name: 'eth0', network, ...more }], commandLine: 'flotilla.net=dhcp', memoryMiB: 96 });

  it('isolated: machines have the addresses, the MTU and the names that were asked for, reach each other and nothing else', async () => {
    const { client } = cloud();
    const ipv4 = { subnet: '10.91.0.0/28' };
    await client.networks.define({ name: 'lab', kind: 'isolated', ipv4, mtu: 1400, domain: 'lab.test' });
    const [one, two] = await Promise.all([boot('one', 'lab', { address: '10.91.0.9' }), boot('two', 'lab')]);
    expect(await one.sh('ip -4 address show eth0')).to.contain('inet 10.91.0.9/28');
    expect(await one.sh('cat /sys/class/net/eth0/mtu')).to.equal('1400');
    expect(await one.sh('ip route')).not.to.contain('default');
    expect(await two.sh('nslookup one.lab.test 10.91.0.1 2>&1')).to.contain('10.91.0.9');
    expect(await two.sh('ping -c 2 -W 10 10.91.0.9 | grep -c "bytes from"')).to.equal('2');
    expect(await two.sh('ping -c 1 -W 2 10.91.0.1 > /dev/null && echo reached || echo lost')).to.equal('lost');
    const refused: unknown = await client.networks.delete('lab').catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'network.in_use');
    await cloud().clear();
    await client.networks.delete('lab');
    expect(run('nft', ['list', 'tables'])).not.to.contain('flotilla-');
  });
});
