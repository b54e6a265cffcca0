// SPDX-License-Identifier: Apache-2.0
import { connect } from 'node:net';
import { expect } from 'chai';
import type { Guest } from './lib/guest.js';
import { eventually, type HostState, hostState, run } from './lib/host.js';
import { waitLimitMs } from './lib/limits.js';
import { useCloud } from './lib/suite.js';

/** What somebody else has on the host, which is to stay as it is. */
const other = 'br-other';

describe('Networks that were defined, with a real Linux', () => {
  let others: Pick<HostState, 'links' | 'rules'>;
  const look = () => {
    const { links, rules } = hostState();
    return { links: links.filter((name) => name === other), rules: rules.filter((text) => text.startsWith('table inet other')) };
  };

  before(() => {
    run('ip', ['link', 'add', other, 'type', 'bridge']);
    run('nft', ['add', 'table', 'inet', 'other', '{ chain c { type filter hook forward priority 5 ; counter ; } ; }']);
    others = look();
  });
  const cloud = useCloud();
  after(() => {
    expect(look()).to.deep.equal(others);
    run('ip', ['link', 'delete', other]);
    run('nft', ['delete', 'table', 'inet', 'other']);
  });

  const boot = (name: string, network: string, more: Record<string, unknown> = {}): Promise<Guest> =>
    cloud().boot(name, { interfaces: [{ name: 'eth0', network, ...more }], commandLine: 'flotilla.net=dhcp', memoryMiB: 96 });

  it('isolated: machines have the addresses, the MTU and the names that were asked for, reach each other and nothing else', async () => {
    const { client } = cloud();
    const ipv4 = { subnet: '10.91.0.0/28' };
    await client.networks.define({ name: 'lab', kind: 'isolated', ipv4, mtu: 1400, domain: 'lab.test' });
    const one = await boot('one', 'lab', { address: '10.91.0.9' });
    const two = await boot('two', 'lab');
    expect(await one.sh('ip -4 address show eth0')).to.contain('inet 10.91.0.9/28');
    expect(await one.sh('cat /sys/class/net/eth0/mtu')).to.equal('1400');
    expect(await one.sh('ip route')).not.to.contain('default');
    expect(await two.sh('nslookup one.lab.test 10.91.0.1 2>&1')).to.contain('10.91.0.9');
    expect(await two.sh('ping -c 2 -W 10 10.91.0.9 | grep -c "bytes from"')).to.equal('2');
    expect(await two.sh('ping -c 1 -W 2 10.91.0.1 > /dev/null && echo reached || echo lost')).to.equal('lost');
    // In the place of somebody else it reaches nobody.
    await two.sh('ip address add 10.91.0.7/28 dev eth0');
    expect(await two.sh('ping -c 1 -W 2 -I 10.91.0.7 10.91.0.9 > /dev/null && echo reached || echo lost')).to.equal('lost');
    await client.networks.update('lab', { antiSpoofing: false });
    expect(await two.sh('ping -c 1 -W 10 -I 10.91.0.7 10.91.0.9 > /dev/null && echo reached || echo lost')).to.equal('reached');
    await client.networks.update('lab', { isolateMachines: true });
    expect(await two.sh('ping -c 1 -W 2 10.91.0.9 > /dev/null && echo reached || echo lost')).to.equal('lost');
    const refused: unknown = await client.networks.delete('lab').catch((error: unknown) => error);
    expect(refused).to.have.property('code', 'network.in_use');
    await cloud().clear();
    await client.networks.delete('lab');
    expect(run('nft', ['list', 'tables'])).not.to.contain('flotilla-');
  });

  it('nat: a port of the host leads to a machine until it is taken away', async () => {
    const { client } = cloud();
    const web = await boot('web', 'default');
    await web.type('while :; do echo said by the guest | nc -l -p 80; done > /dev/null 2>&1 &');
    await web.prompt();
    const forward = await client.networks.addForward('default', { protocol: 'tcp', hostPort: 8080, machine: 'web', guestPort: 80 });
    run('ip', ['address', 'add', '192.0.2.7/32', 'dev', 'lo']);
    try {
      await eventually('the guest is heard', waitLimitMs, async () => (await heard('192.0.2.7', 8080)).includes('said by the guest'));
      await client.networks.removeForward('default', forward.id);
      expect(await heard('192.0.2.7', 8080)).to.equal('ECONNREFUSED');
    } finally {
      run('ip', ['address', 'del', '192.0.2.7/32', 'dev', 'lo']);
    }
  });
});

/** What is said at a port, or why nothing is. */
function heard(host: string, port: number): Promise<string> {
  return new Promise((resolve) => {
    let said = '';
    const socket = connect({ host, port });
    socket.setTimeout(20_000, () => socket.destroy());
    socket.on('data', (data: Buffer) => (said += data.toString())).on('error', (error: NodeJS.ErrnoException) => (said = error.code ?? ''));
    socket.on('close', () => {
      resolve(said);
    });
  });
}
