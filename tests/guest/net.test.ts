// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createSocket } from 'node:dgram';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server } from 'node:net';
import { expect } from 'chai';
import { Cloud, newPlaces } from './lib/cloud.js';
import { eventually, type HostState, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { waitLimitMs } from './lib/limits.js';
import { Run } from './lib/run.js';
import { expectNothingLeft, useCloud } from './lib/suite.js';
import { addUplink, passtOf, removeUplink, saidAt, uplink } from './lib/uplink.js';

const tap = 'net-test0';
const [hostAddress, guestAddress, mac] = ['192.0.2.1', '192.0.2.2', '52:54:00:12:34:56'];
const blob = randomBytes(4 << 20);
const blobSum = md5(blob);
const [givingPort, takingPort] = [7001, 7002];
/** Bytes of a segment that nobody has cut yet. */
const longestFrame = 65_550;

/** Virtio features by their numbers; in /sys they are a text of zeroes and ones. */
const [csum, mtu, hostTso4, hostUfo, mergeable, control, filtering, announce, queues] = [0, 3, 11, 14, 15, 17, 18, 21, 22];

interface Case {
  readonly name: string;
  readonly flags: string;
  readonly has: readonly number[];
  readonly lacks: readonly number[];
  readonly receiveQueues: number;
  readonly mtu: number;
}

const cases: readonly Case[] = [
  {
    name: 'tap, one queue',
    flags: '',
    has: [csum, hostTso4, hostUfo, mergeable, control, filtering, announce],
    lacks: [queues, mtu],
    receiveQueues: 1,
    mtu: 1500,
  },
  {
    name: 'tap, two queues, an MTU, no spoofed frames',
    flags: ',queues=2,mtu=1400,spoof=off',
    has: [csum, hostTso4, mergeable, control, filtering, queues, mtu],
    lacks: [],
    receiveQueues: 2,
    mtu: 1400,
  },
  {
    name: 'vhost-net, two queues',
    flags: ',vhost=on,queues=2',
    has: [csum, hostTso4, mergeable, control, queues],
    lacks: [filtering, mtu],
    receiveQueues: 2,
    mtu: 1500,
  },
];

describe('virtio-net, with a real Linux', () => {
  let held: HostState;
  const servers: Server[] = [];
  let taken: string[] = [];

  before(async () => {
    held = hostState();
    run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr', 'multi_queue']);
    run('ip', ['address', 'add', `${hostAddress}/24`, 'dev', tap]);
    run('ip', ['link', 'set', 'dev', tap, 'up']);
    const giving = createServer((socket) => socket.on('error', () => undefined).end(blob));
    const taking = createServer({ allowHalfOpen: false }, (socket) => {
      const sum = createHash('md5');
      socket.on('error', () => undefined).on('data', (data: Buffer) => sum.update(data));
      socket.on('end', () => taken.push(sum.digest('hex')));
    });
    for (const [server, port] of [
      [giving, givingPort],
      [taking, takingPort],
    ] as const) {
      servers.push(server);
      await new Promise<void>((resolve) => server.listen(port, hostAddress, resolve));
    }
  });
  after(async () => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    run('ip', ['tuntap', 'del', 'dev', tap, 'mode', 'tap', 'multi_queue']);
    expectNothingLeft(held);
  });

  for (const { name, flags, has, lacks, receiveQueues, mtu } of cases) {
    it(`moves 4 MiB both ways and is what was asked for: ${name}`, async () => {
      expect(existsSync('/dev/vhost-net'), 'this host has vhost-net').to.equal(true);
      taken = [];
      const words = `flotilla.net=${guestAddress}/24,${hostAddress}`;
      const guest = Run.start(words, ['--cpus', '2', '--net', `tap=${tap},mac=${mac}${flags}`]);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      guest.type('cd /sys/class/net/eth0; echo features=$(cat device/features) mtu=$(cat mtu) queues=$(ls -d queues/rx-* | wc -l)\n');
      guest.type(`nc ${hostAddress} ${givingPort} < /dev/null > /tmp/blob; echo sum=$(md5sum < /tmp/blob)\n`);
      guest.type(`nc ${hostAddress} ${takingPort} < /tmp/blob; ping -c 2 -W 10 -q ${hostAddress} > /dev/null && echo the host "answers"\n`);
      if (flags.includes('spoof=off')) {
        guest.type(
          'ip link set eth0 down; ip link set eth0 address 52:54:00:99:99:99 || echo the address is "pinned"; ip link set eth0 up\n',
        );
      }
      guest.type('poweroff -f\n');
      const { status, output, said } = await guest.end();
      const features = /features=([01]+)/.exec(output)?.[1] ?? '';
      expect(
        has.filter((bit) => features[bit] !== '1'),
        `features that are missing of ${features}`,
      ).to.deep.equal([]);
      expect(
        lacks.filter((bit) => features[bit] === '1'),
        `features that are too many in ${features}`,
      ).to.deep.equal([]);
      expect(output).to.contain(`mtu=${mtu} queues=${receiveQueues}`).and.to.contain(`sum=${blobSum}`);
      expect(output).to.contain('the host answers');
      if (flags.includes('spoof=off')) expect(output).to.contain('the address is pinned');
      expect(taken).to.deep.equal([blobSum]);
      expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    });
  }

  it('does not exceed its limits, each way', async () => {
    const rate = 512 << 10;
    /** What may go besides: what has gathered at first, and the rest of the last frame, which goes while anything is left. */
    const ahead = rate / 10 + longestFrame;
    const bytes = Math.round(rate * 4.1);
    const counter = (name: string) => Number(readFileSync(`/sys/class/net/${tap}/statistics/${name}`, 'utf8'));
    const limits = `rx-bps=${rate},tx-bps=${rate}`;
    const guest = Run.start(`flotilla.net=${guestAddress}/24,${hostAddress}`, ['--net', `tap=${tap},mac=${mac},${limits}`]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    /** Bytes in a second that the host counts while the guest runs a command that takes four. */
    const rateOf = async (name: string, command: string, word: string) => {
      const [before, begin] = [counter(name), performance.now()];
      guest.type(`${command}; echo ${word.slice(0, 2)}""${word.slice(2)}\n`);
      await guest.shows(new RegExp(word));
      return (counter(name) - before - ahead) / ((performance.now() - begin) / 1000);
    };
    const sent = await rateOf('rx_bytes', `head -c ${bytes} /dev/zero | nc ${hostAddress} ${takingPort}`, 'sent-all');
    expect(sent / rate, 'what the guest sent').to.be.within(0.01, 1.05);
    const come = await rateOf('tx_bytes', `nc ${hostAddress} ${givingPort} < /dev/null | head -c ${bytes} > /dev/null`, 'has-come');
    expect(come / rate, 'what came to the guest').to.be.within(0.01, 1.05);
    guest.type('poweroff -f\n');
    expect((await guest.end()).status).to.equal(0);
  });

  it('has no carrier where the cable is out', async () => {
    const guest = Run.start('flotilla.net=192.0.2.2/24', ['--net', `tap=${tap},link=down`]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    guest.type('echo carrier=$(cat /sys/class/net/eth0/carrier) "is" $(cat /sys/class/net/eth0/operstate)\n');
    guest.type('poweroff -f\n');
    const { status, output } = await guest.end();
    expect(output).to.contain('carrier=0 is down');
    expect(status).to.equal(0);
  });

  it('says what is missing when a tap takes one queue only', async () => {
    run('ip', ['tuntap', 'add', 'dev', 'net-test1', 'mode', 'tap', 'vnet_hdr']);
    const { status, said } = await (async () => Run.start('', ['--net', 'tap=net-test1,queues=2']).end())().finally(() =>
      run('ip', ['tuntap', 'del', 'dev', 'net-test1', 'mode', 'tap']),
    );
    expect(said).to.contain('multi_queue').and.to.contain('$.interfaces[0].tap');
    expect(status).to.be.greaterThan(0);
  });
});

describe('A link of the host (macvtap), with a real Linux', () => {
  /** A cable: guests are on one end beside the host, and the other stands for the network behind it. */
  const [parent, network] = ['mvt-up', 'mvt-net'];
  const [there, here, silent] = ['203.0.113.1', '203.0.113.2', '203.0.113.77'];
  const env = { FLOTILLA_MACVTAP_PARENTS: parent };
  let held: HostState;

  before(() => {
    held = hostState();
    run('ip', ['link', 'add', parent, 'type', 'veth', 'peer', 'name', network]);
    run('ip', ['address', 'add', `${there}/24`, 'dev', network]);
    for (const name of [parent, network]) run('ip', ['link', 'set', name, 'up']);
  });
  after(() => {
    run('ip', ['link', 'delete', parent]);
    expectNothingLeft(held);
  });

  it('puts the guest on the network behind it, also while there is no orchestrator; the next one takes the link away', async () => {
    const links = () => hostState().links.filter((name) => name.startsWith('flom-'));
    let cloud = await Cloud.start(newPlaces(), env);
    try {
      await importSmallGuest(cloud.client);
      const refused: unknown = await cloud
        .boot('elsewhere', { interfaces: [{ name: 'eth0', macvtap: { parent: network } }] })
        .catch((error: unknown) => error);
      expect(String(refused)).to.contain(parent);
      const guest = await cloud.boot('beside', {
        commandLine: `flotilla.net=${here}/24`,
        interfaces: [{ name: 'eth0', macvtap: { parent, mode: 'private' }, queues: 2 }],
        cpus: 2,
      });
      expect(links()).to.have.length(1);
      expect(await guest.sh(`ping -c 2 -W 10 ${there} | grep -c "bytes from"`)).to.equal('2');
      const { interfaces } = (await guest.machine.refresh()).data.spec;
      // An address that says nothing by itself: the network learns of it by the announcement, as a host that takes those in.
      writeFileSync(`/proc/sys/net/ipv4/conf/${network}/arp_accept`, '1');
      await guest.sh(`ip address add ${silent}/24 dev eth0`);
      expect(run('ip', ['neighbour', 'show', silent, 'dev', network])).to.equal('');
      await guest.machine.announce('eth0');
      const known = () => run('ip', ['neighbour', 'show', silent, 'dev', network]).includes(interfaces?.[0]?.mac ?? 'no address');
      await eventually('the network hears of it', waitLimitMs, known);
      expect((await guest.machine.metrics())['net:eth0.announcements']).to.equal(1);
      expect(run('ip', ['neighbour', 'show', here, 'dev', network])).to.contain(interfaces?.[0]?.mac ?? 'no address');
      guest.close();
      await cloud.kill();
      run('ping', ['-c', '2', '-W', '10', here]);
      cloud = await Cloud.start(cloud.places, env);
      await cloud.machine('beside').then((machine) => machine.waitFor('running'));
      expect(links()).to.have.length(1);
      run('ping', ['-c', '1', '-W', '10', here]);
      await cloud.clear();
      expect(links()).to.deep.equal([]);
    } finally {
      await cloud.destroy();
    }
  });
});

describe('The address of a machine that is gone', () => {
  const cloud = useCloud();

  it('is given to the next one, although the DHCP server has it leased still', async () => {
    const boot = (name: string) =>
      cloud().boot(name, { interfaces: [{ name: 'eth0', network: 'default' }], commandLine: 'flotilla.net=dhcp' });
    await boot('stays'); // and with it the network, the server and its leases
    const { address } = (await boot('goes')).machine;
    await (await cloud().machine('goes')).delete({ force: true });
    const next = await boot('comes');
    expect(next.machine.address).to.equal(address);
    expect(await next.sh('ip -4 addr show eth0')).to.contain(`inet ${address}/`);
  });
});

describe('User-mode networking, with a real Linux', () => {
  const [forwarded, secret] = [7003, 7004];
  const forward = `127.0.0.1/${forwarded}:80`;
  const flags = ['--net', `user,forward=tcp:${forwarded}:80,forward=udp:${forwarded}:81`];
  let held: HostState;
  // Without offloads each packet is a frame of its own, and frames are slow in the lab.
  const little = blob.subarray(0, 64 << 10);
  const servers: Server[] = [];
  const secretSeen: string[] = [];

  before(async () => {
    held = hostState();
    addUplink();
    run('ip', ['address', 'add', `${hostAddress}/32`, 'dev', 'lo']);
    const giving = createHttpServer((_request, response) => response.setHeader('connection', 'close').end(little));
    const trusting = createServer((socket) => {
      secretSeen.push(String(socket.remoteAddress));
      socket.on('error', () => undefined).end('trusted');
    });
    servers.push(giving, trusting);
    await new Promise<void>((resolve) => giving.listen(givingPort, hostAddress, resolve));
    await new Promise<void>((resolve) => trusting.listen(secret, '127.0.0.1', resolve));
  });
  after(async () => {
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    run('ip', ['address', 'del', `${hostAddress}/32`, 'dev', 'lo']);
    removeUplink();
    expectNothingLeft(held);
  });

  it('gives the guest an address and what the host reaches, lets in what is forwarded, and loses its carrier with passt', async () => {
    const guest = Run.start('flotilla.net=dhcp', flags);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    const features = await guest.sh('cat /sys/class/net/eth0/device/features');
    expect([csum, hostTso4, queues].map((bit) => features[bit])).to.deep.equal(['0', '0', '0']);
    expect(await guest.sh('ip -4 address show eth0; ip route'))
      .to.contain(uplink.address)
      .and.to.contain(`via ${uplink.gateway}`);
    expect(await guest.sh(`wget -q -O - http://${hostAddress}:${givingPort}/ | md5sum`)).to.contain(md5(little));

    // Neither the gateway nor the loopback of the host itself, which a guest that wants to can send frames to.
    const toLoopback =
      'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet; ip route del local 127.0.0.0/8 dev lo table local; ' +
      `ip route del local 127.0.0.1 dev lo table local; ip route add 127.0.0.0/8 via ${uplink.gateway}`;
    await guest.sh(toLoopback);
    for (const address of [uplink.gateway, '127.0.0.1'])
      expect(await guest.sh(`nc -w 3 ${address} ${secret} < /dev/null`), address).not.to.contain('trusted');
    expect(secretSeen).to.deep.equal([]);

    guest.type('while :; do echo said by the guest | nc -l -p 80; done &\n');
    expect(await saidAt(forwarded)).to.contain('said by the guest');
    // Nobody in the guest takes datagrams, which its kernel counts (`NoPorts`).
    const refused = async (): Promise<number> => Number(/^Udp: \d+ (\d+)/m.exec(await guest.sh('cat /proc/net/snmp'))?.[1]);
    expect(await refused()).to.equal(0);
    const sender = createSocket('udp4');
    await eventually('a datagram comes', waitLimitMs, async () => {
      sender.send('a datagram', forwarded, '127.0.0.1');
      return (await refused()) > 0;
    });
    sender.close();

    process.kill(passtOf(forward) ?? Number.NaN, 'SIGKILL');
    await eventually('the carrier is gone', waitLimitMs, async () => (await guest.sh('cat /sys/class/net/eth0/carrier')) === '0');
    guest.type('poweroff -f\n');
    const { status, said } = await guest.end();
    expect(said).to.contain('the network of an interface is gone');
    expect(status).to.equal(0);
  });

  it('ends with a machine that is killed, and refuses a port that somebody has', async () => {
    const guest = Run.start('', flags);
    await guest.shows(/flotilla-init ready/);
    const refused = await Run.start('', flags).end();
    expect(refused.said).to.contain('forward.port_busy at $.interfaces[0].user.forwards[0].hostPort');
    expect(refused.status).to.equal(2);
    guest.signal('SIGKILL');
    await guest.end();
    await eventually('passt is gone', waitLimitMs, () => passtOf(forward) === undefined);
  });
});

function md5(data: Buffer): string {
  return createHash('md5').update(data).digest('hex');
}
