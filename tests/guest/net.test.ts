// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { expect } from 'chai';
import { type HostState, hostState, run } from './lib/host.js';
import { Run } from './lib/run.js';
import { expectNothingLeft } from './lib/suite.js';

const tap = 'net-test0';
const [hostAddress, guestAddress, mac] = ['192.0.2.1', '192.0.2.2', '52:54:00:12:34:56'];
const blob = randomBytes(4 << 20);
const blobSum = md5(blob);
const [givingPort, takingPort] = [7001, 7002];

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

function md5(data: Buffer): string {
  return createHash('md5').update(data).digest('hex');
}
