// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import { pino } from 'pino';
import { ApiError } from '../common/api-error.js';
import { newId } from '../common/ids.js';
import type { PoolRef, PoolRefOf } from '../common/pool.js';
import { checkCall, checkStream } from './command-checks.js';
import type { EnsureNetworkCommand, HostAgent, LaunchCommand, UploadImageCommand } from './host-agent.js';
import { COMMANDS, type CommandName } from './protocol.js';
import { SocketHostAgent } from './socket-client.js';
import { serveHostAgent } from './socket-server.js';

const image = newId('img');
const installation = newId('ins');
const mac = '02:f1:00:00:00:01';
const upload = { id: image, kind: 'disk', format: 'raw' };
const network: EnsureNetworkCommand = {
  id: newId('net'),
  name: 'default',
  kind: 'nat',
  domain: 'flotilla.internal',
  subnet: '10.77.0.0/24',
  gateway: '10.77.0.1',
  dhcpRange: '10.77.0.2-10.77.0.254',
  bridge: 'flo-0',
  reservations: [{ mac, ip: '10.77.0.2', hostname: 'web' }],
};
const forward = { protocol: 'tcp', hostPort: 8080, address: '10.77.0.2', guestPort: 80 };
const launch: LaunchCommand = {
  id: newId('mac'),
  generation: 1,
  profile: 'standard',
  acpi: true,
  cpus: 1,
  memoryMiB: 64,
  memoryOvercommit: false,
  cpu: { topology: { cores: 1 }, model: 'x86-64-v2', enable: ['aes'], pin: { vcpus: [[0, 1]], io: [] } },
  memoryOptions: { backing: 'hugetlb-2M', prefault: true },
  numa: [{ cpus: [0], memoryMiB: 64, distances: [10] }],
  kernelImageId: image,
  commandLine: 'console=ttyS0',
  disks: [
    {
      name: 'root',
      volumeId: newId('vol'),
      format: 'qcow2',
      backingImageId: image,
      readOnly: false,
      attach: 'block',
      queues: 2,
      cache: 'none',
      engine: 'io-uring',
      blockSize: 4096,
    },
  ],
  interfaces: [{ name: 'eth0', networkId: network.id, bridge: 'flo-0', mac, ip: '10.77.0.2' }],
  rng: true,
  shares: [{ tag: 'data', path: '/srv/data', readOnly: true }],
  vsock: { cid: 3, maxConnections: 1023 },
  console: { ports: [{ name: 'agent' }] },
  balloon: { targetMiB: 16, deflateOnOom: true, freePageReporting: false, statisticsSeconds: 0 },
  watchdog: { action: 'report' },
  isolation: 'process',
  onReboot: 'restart',
  onCrash: 'stop',
};
const macvtapLaunch = (macvtap: unknown) => ({ ...launch, interfaces: [{ name: 'eth0', mac, macvtap, queues: 2 }] });
const userLaunch = (forward: unknown) => ({ ...launch, interfaces: [{ name: 'eth0', mac, user: { forwards: [forward] } }] });
const pool: PoolRef = { id: newId('poo'), kind: 'dir', config: { path: '/srv/fast pool' }, generation: 2, guardPercent: 5 };
const nfs: PoolRefOf<'nfs'> = {
  ...{ id: newId('poo'), kind: 'nfs', generation: 0, guardPercent: 0 },
  config: { server: 'fe80::1', path: '/', version: '4.1', options: { mode: 'soft', timeo: 50, retrans: 0, nconnect: 16 } },
};
const nfsAt = (config: object) => ({ ...nfs, config: { ...nfs.config, ...config } });
const thin: PoolRefOf<'lvm-thin'> = { ...nfs, kind: 'lvm-thin', config: { volumeGroup: 'vg0', thinPool: 'tp' } };
const thick: PoolRefOf<'lvm'> = { ...nfs, kind: 'lvm', config: { volumeGroup: 'vg0' } };
const GOOD: [CommandName, unknown][] = [
  ['makePool', pool],
  ['openPool', pool],
  ['openPool', nfs],
  ['makePool', thin],
  ['openPool', thick],
  ['openPool', { ...nfs, config: { server: 'nas-1.example', path: '/srv/a b' } }],
  ['closePool', { pool, force: true }],
  ['removePool', { pool: { ...pool, guardPercent: 0 } }],
  ['poolUsage', {}],
  ['poolUsage', { pool }],
  ['removeVolume', { id: newId('vol'), pool }],
  ['createMachine', { ...launch, disks: launch.disks.map((disk) => ({ ...disk, pool })) }],
  ['importImage', { id: image, path: '/srv/a b', anywhere: true, kind: 'disk', format: 'raw', sha256: 'a'.repeat(64) }],
  ['ensureVolume', { id: newId('vol'), imageId: image, sizeBytes: 2 ** 50 }],
  ['ensureVolume', { id: newId('vol'), imageId: image, clone: 'linked' }],
  ['ensureVolume', { id: newId('vol'), sizeBytes: 2 ** 30, format: 'qcow2' }],
  ['ensureVolume', { id: newId('vol'), sizeBytes: 2 ** 30, preallocate: 'full' }],
  ['ensureVolume', { id: newId('vol'), origin: { id: newId('vol'), format: 'qcow2', backingImageId: image } }],
  ['growVolume', { id: newId('vol'), format: 'raw', sizeBytes: 2 ** 50, holder: { machineId: newId('mac'), disk: 'root' } }],
  ['ensureNetwork', network],
  ['ensureNetwork', { ...network, kind: 'isolated', bridge: 'flo-0123abcd', domain: 'lab', mtu: 9000 }],
  ['ensureNetwork', { ...network, kind: 'routed', subnet: '203.0.113.0/28' }],
  ['ensureNetwork', { id: network.id, name: 'lan', kind: 'bridge', hostBridge: 'br0' }],
  ['ensureNetwork', { ...network, forwards: [{ ...forward, hostAddress: '192.0.2.1' }] }],
  ['requireFreePort', { protocol: 'udp', hostPort: 53 }],
  [
    'ensureNetwork',
    {
      ...network,
      isolateMachines: true,
      antiSpoofing: true,
      reservations: [{ ...network.reservations[0], machineId: newId('mac'), interface: 'eth0' }],
    },
  ],
  ['createMachine', launch],
  [
    'createMachine',
    {
      ...launch,
      interfaces: launch.interfaces.map((link) => ({
        ...link,
        backend: 'vhost',
        queues: 16,
        mtu: 68,
        link: 'down',
        allowSpoofedMac: true,
      })),
    },
  ],
  ['createMachine', userLaunch({ protocol: 'tcp', hostPort: 8080, guestPort: 80 })],
  ['createMachine', userLaunch({ protocol: 'udp', hostAddress: '::1', hostPort: 1, guestPort: 65_535 })],
  ['createMachine', macvtapLaunch({ parent: 'enp3s0.100', mode: 'vepa' })],
  ['setLink', { id: launch.id, generation: 3, name: 'eth0', link: 'down' }],
  ['announce', { id: launch.id, name: 'eth0' }],
  ['setThrottle', { id: launch.id, generation: 3, kind: 'rng', name: '', limits: {} }],
  ['setThrottle', { id: launch.id, generation: 3, kind: 'disk', name: 'root', limits: { bytes: { perSecond: 1, burst: 2 } } }],
  ['setBalloon', { id: launch.id, generation: 3, targetMiB: 0 }],
  ['machineBalloon', { id: launch.id }],
  ['reclaimMemory', { id: launch.id }],
  ['createMachine', { ...launch, balloon: { ...launch.balloon, freePageHinting: true } }],
  ['killMachine', { id: launch.id, generation: 3 }],
  ['forgetMachine', { id: launch.id }],
  ['listMachines', null],
  ['claim', { installation, knowsNothing: false, adopt: true }],
  [
    'collectGarbage',
    { installation, epoch: 1, machines: [launch.id], volumes: [], images: [image], networks: [network.id], pools: [pool] },
  ],
];
const BAD: [CommandName, unknown, string][] = [
  ['makePool', { ...pool, id: '../x' }, 'id'],
  ['makePool', { ...pool, kind: 'tape' }, 'kind'],
  ['makePool', { ...pool, config: { path: '/srv/../etc' } }, 'config.path'],
  ['makePool', { ...pool, config: { path: '/' } }, 'config.path'],
  ['makePool', { ...pool, config: { path: '/srv/a\nb' } }, 'config.path'],
  ['makePool', { ...pool, config: { path: '/srv', more: 1 } }, 'config.more'],
  ['openPool', { ...pool, guardPercent: 100 }, 'guardPercent'],
  ['openPool', { ...pool, generation: -1 }, 'generation'],
  ['openPool', [], ''],
  ['openPool', { ...pool, kind: 'toString' }, 'kind'],
  ['openPool', { ...pool, kind: 'nfs' }, 'config.server'],
  ['openPool', { ...nfs, kind: 'dir' }, 'config.server'],
  ['openPool', { ...thin, config: { ...thin.config, volumeGroup: '-y' } }, 'config.volumeGroup'],
  ['openPool', { ...thin, config: { ...thin.config, thinPool: '@all' } }, 'config.thinPool'],
  ['openPool', { ...thick, config: { volumeGroup: 'vg0/x' } }, 'config.volumeGroup'],
  ['openPool', { ...thin, kind: 'lvm' }, 'config.thinPool'],
  ['openPool', nfsAt({ server: '-o' }), 'config.server'],
  ['openPool', nfsAt({ server: 'a:/b' }), 'config.server'],
  ['openPool', nfsAt({ server: 'a b' }), 'config.server'],
  ['openPool', nfsAt({ path: '/srv/../etc' }), 'config.path'],
  ['openPool', nfsAt({ path: 'srv' }), 'config.path'],
  ['openPool', nfsAt({ version: '3' }), 'config.version'],
  ['openPool', nfsAt({ options: { mode: 'hard,exec' } }), 'config.options.mode'],
  ['openPool', nfsAt({ options: { timeo: '1,exec' } }), 'config.options.timeo'],
  ['openPool', nfsAt({ options: { exec: true } }), 'config.options.exec'],
  ['closePool', { pool, force: 1 }, 'force'],
  ['closePool', pool, 'id'],
  ['removeVolume', { id: newId('vol'), pool: { ...pool, config: { path: 'srv' } } }, 'pool.config.path'],
  ['createMachine', { ...launch, shares: [{ tag: 'data', path: 'srv', readOnly: true }] }, 'shares[0].path'],
  ['createMachine', { ...launch, shares: [{ tag: '../data', path: '/srv', readOnly: true }] }, 'shares[0].tag'],
  ['createMachine', userLaunch({ protocol: 'sctp', hostPort: 1, guestPort: 1 }), 'interfaces[0].user.forwards[0].protocol'],
  ['createMachine', userLaunch({ protocol: 'tcp', hostPort: 0, guestPort: 1 }), 'interfaces[0].user.forwards[0].hostPort'],
  [
    'createMachine',
    userLaunch({ protocol: 'tcp', hostAddress: '::1%lo/1 -t all', hostPort: 1, guestPort: 1 }),
    'interfaces[0].user.forwards[0].hostAddress',
  ],
  ['createMachine', { ...launch, interfaces: [{ ...launch.interfaces[0], user: { forwards: [] } }] }, 'interfaces[0].networkId'],
  ['createMachine', macvtapLaunch({ parent: '../eth0', mode: 'bridge' }), 'interfaces[0].macvtap.parent'],
  ['createMachine', macvtapLaunch({ parent: '-batch', mode: 'bridge' }), 'interfaces[0].macvtap.parent'],
  ['createMachine', macvtapLaunch({ parent: 'eth0', mode: 'passthru' }), 'interfaces[0].macvtap.mode'],
  ['setThrottle', { id: launch.id, generation: 3, kind: 'disk', name: '../x', limits: {} }, 'name'],
  ['setThrottle', { id: launch.id, generation: 3, kind: 'disk', name: 'x', limits: { bytes: { perSecond: 0 } } }, 'limits.bytes.perSecond'],
  ['setLink', { id: launch.id, generation: 3, name: '../eth0', link: 'down' }, 'name'],
  ['announce', { id: launch.id, name: '../eth0' }, 'name'],
  ['setLink', { id: launch.id, generation: 3, name: 'eth0', link: 'sideways' }, 'link'],
  ['setBalloon', { id: launch.id, generation: 3, targetMiB: -1 }, 'targetMiB'],
  ['setBalloon', { id: launch.id, generation: 3, targetMiB: 0.5 }, 'targetMiB'],
  ['createMachine', { ...launch, balloon: { ...launch.balloon, statisticsSeconds: 86_401 } }, 'balloon.statisticsSeconds'],
  ['createMachine', { ...launch, balloon: { ...launch.balloon, freePageHinting: 1 } }, 'balloon.freePageHinting'],
  ['reclaimMemory', { id: launch.id, bytes: 1 }, 'bytes'],
  ['removeImage', { id: '../../../../etc/cron.d/x' }, 'id'],
  ['removeImage', { id: `${image}/..` }, 'id'],
  ['removeImage', { id: launch.id }, 'id'],
  ['removeImage', { id: [image] }, 'id'],
  ['removeImage', { id: `${image}\n` }, 'id'],
  ['removeImage', [image], 'value'],
  ['removeImage', null, 'value'],
  ['removeImage', { id: image, more: 1 }, 'more'],
  ['describe', {}, 'value'],
  ['importImage', { id: image, path: 'etc/shadow', anywhere: true, kind: 'disk', format: 'raw' }, 'path'],
  ['importImage', { id: image, path: '/a\0b', anywhere: true, kind: 'disk', format: 'raw' }, 'path'],
  ['importImage', { id: image, path: '/a', anywhere: 'yes', kind: 'disk', format: 'raw' }, 'anywhere'],
  ['growVolume', { id: '../x', format: 'raw', sizeBytes: 1 }, 'id'],
  ['growVolume', { id: newId('vol'), sizeBytes: 1 }, 'format'],
  ['growVolume', { id: newId('vol'), format: 'vmdk', sizeBytes: 1 }, 'format'],
  ['growVolume', { id: newId('vol'), format: 'qcow2', backingImageId: '/etc/shadow', sizeBytes: 1 }, 'backingImageId'],
  ['ensureVolume', { id: newId('vol'), imageId: image, clone: 'hard' }, 'clone'],
  ['ensureVolume', { id: newId('vol'), sizeBytes: 1, format: 'vmdk' }, 'format'],
  ['ensureVolume', { id: newId('vol'), origin: { id: '../../etc/shadow', format: 'raw' } }, 'origin.id'],
  ['ensureVolume', { id: newId('vol'), origin: { id: newId('vol'), format: 'raw', path: '/etc/shadow' } }, 'origin.path'],
  ['ensureVolume', { id: newId('vol'), sizeBytes: 1, preallocate: true }, 'preallocate'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], backingImageId: '../x' }] }, 'disks[0].backingImageId'],
  ['growVolume', { id: newId('vol'), format: 'raw', sizeBytes: 0 }, 'sizeBytes'],
  ['growVolume', { id: newId('vol'), format: 'raw', sizeBytes: 1, holder: { machineId: 'x', disk: 'root' } }, 'holder.machineId'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], onNoSpace: 'stop' }] }, 'disks[0].onNoSpace'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], attach: 'nvdimm' }] }, 'disks[0].attach'],
  ['ensureVolume', { id: newId('vol'), sizeBytes: -1 }, 'sizeBytes'],
  ['ensureVolume', { id: newId('vol'), sizeBytes: 1e300 }, 'sizeBytes'],
  ['ensureNetwork', { ...network, name: 'x { }\ntable inet y' }, 'name'],
  ['ensureNetwork', { ...network, bridge: 'eth0' }, 'bridge'],
  ['ensureNetwork', { ...network, gateway: '10.77.0.1\nlink delete eth0' }, 'gateway'],
  ['ensureNetwork', { ...network, subnet: '0.0.0.0/0' }, 'subnet'],
  ['ensureNetwork', { ...network, kind: 'open' }, 'kind'],
  ['ensureNetwork', { ...network, antiSpoofing: 'yes' }, 'antiSpoofing'],
  ['ensureNetwork', { ...network, isolateMachines: 1 }, 'isolateMachines'],
  ['ensureNetwork', { ...network, reservations: [{ ...network.reservations[0], machineId: '../x' }] }, 'reservations[0].machineId'],
  ['ensureNetwork', { ...network, forwards: [{ ...forward, protocol: 'sctp' }] }, 'forwards[0].protocol'],
  ['ensureNetwork', { ...network, forwards: [{ ...forward, hostAddress: '127.0.0.1' }] }, 'forwards[0].hostAddress'],
  ['ensureNetwork', { ...network, forwards: [{ ...forward, hostAddress: '0.0.0.0/0' }] }, 'forwards[0].hostAddress'],
  ['ensureNetwork', { ...network, forwards: [{ ...forward, hostPort: '80 accept' }] }, 'forwards[0].hostPort'],
  ['ensureNetwork', { ...network, forwards: [{ ...forward, address: '10.77.0.2:1-9' }] }, 'forwards[0].address'],
  ['ensureNetwork', { ...network, forwards: Array.from({ length: 257 }, () => forward) }, 'forwards'],
  ['requireFreePort', { protocol: 'udp', hostPort: 0 }, 'hostPort'],
  ['ensureNetwork', { id: network.id, name: 'lan', kind: 'bridge', hostBridge: 'br0 up' }, 'hostBridge'],
  ['ensureNetwork', { ...network, kind: 'bridge' }, 'domain'],
  ['ensureNetwork', { ...network, domain: 'lab\ndhcp-script=/tmp/x' }, 'domain'],
  ['ensureNetwork', { ...network, domain: 'a/b' }, 'domain'],
  ['ensureNetwork', { ...network, mtu: 100 }, 'mtu'],
  ['ensureNetwork', { ...network, bridge: 'flo-0123abcde' }, 'bridge'],
  ['ensureNetwork', { ...network, kind: 'isolated', subnet: '203.0.113.0/28' }, 'subnet'],
  ['ensureNetwork', { ...network, kind: 'routed', subnet: '127.0.0.0/16' }, 'subnet'],
  ['ensureNetwork', { ...network, kind: 'routed', subnet: '224.0.0.0/24' }, 'subnet'],
  ['ensureNetwork', { ...network, subnet: '8.8.8.0/24' }, 'subnet'],
  ['ensureNetwork', { ...network, subnet: '10.77.0.9/24' }, 'subnet'],
  ['ensureNetwork', { ...network, subnet: '10.77.0.0/24 accept' }, 'subnet'],
  [
    'ensureNetwork',
    { ...network, reservations: [{ mac, ip: '10.77.0.2', hostname: 'web\ndhcp-script=/tmp/x' }] },
    'reservations[0].hostname',
  ],
  ['ensureNetwork', { ...network, reservations: [{ mac: `${mac},x`, ip: '10.77.0.2', hostname: 'web' }] }, 'reservations[0].mac'],
  ['createMachine', { ...launch, memoryMiB: 1e12 }, 'memoryMiB'],
  ['createMachine', { ...launch, cpus: 1.5 }, 'cpus'],
  ['createMachine', { ...launch, cpus: 65 }, 'cpus'],
  ['createMachine', { ...launch, cpu: { enable: ['a b'] } }, 'cpu.enable[0]'],
  ['createMachine', { ...launch, cpu: { pin: { vcpus: [[1024]] } } }, 'cpu.pin.vcpus[0][0]'],
  ['createMachine', { ...launch, memoryOptions: { backing: '/dev/mem' } }, 'memoryOptions.backing'],
  ['createMachine', { ...launch, numa: [{ cpus: [-1], memoryMiB: 16 }] }, 'numa[0].cpus[0]'],
  ['createMachine', { ...launch, disks: [{ name: 'root', volumeId: '../x', readOnly: false }] }, 'disks[0].volumeId'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], queues: 17 }] }, 'disks[0].queues'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], cache: 'unsafe' }] }, 'disks[0].cache'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], engine: 'aio' }] }, 'disks[0].engine'],
  ['createMachine', { ...launch, disks: [{ ...launch.disks[0], blockSize: 1024 }] }, 'disks[0].blockSize'],
  ['createMachine', { ...launch, isolation: 'none' }, 'isolation'],
  [
    'prepareMachine',
    { ...launch, interfaces: [{ name: 'eth0', networkId: network.id, bridge: 'br0', mac, ip: '10.77.0.2' }] },
    'interfaces[0].bridge',
  ],
  ['bootMachine', { id: launch.id, generation: '1' }, 'generation'],
  ['claim', { installation: '../x', knowsNothing: false, adopt: true }, 'installation'],
  ['collectGarbage', { epoch: 1, machines: [], volumes: [], images: [], networks: [] }, 'installation'],
  ['collectGarbage', { installation, epoch: 1, machines: ['x'], volumes: [], images: [], networks: [] }, 'machines[0]'],
];

describe('commands at the border of the agent', () => {
  it('pass when they are as the api role sends them', () => {
    for (const [call, command] of GOOD) expect(checkCall(call, command), call).to.equal(command);
    expect(checkStream('upload', upload)).to.equal(upload);
    expect(checkStream('console', { id: launch.id, write: true })).to.have.property('write', true);
  });

  it('collect in as many pools as are defined', () => {
    const pools = Array.from({ length: 2000 }, () => pool);
    const command = { installation, epoch: 1, machines: [], volumes: [], images: [], networks: [], pools };
    expect(checkCall('collectGarbage', command)).to.equal(command);
  });

  it('are refused field by field', () => {
    for (const [call, command, field] of BAD) {
      const error = problem(() => checkCall(call, command));
      expect([error?.code, error?.message.includes(field)], `${call} ${JSON.stringify(command)}: ${error?.message}`).to.deep.equal([
        'host.invalid_command',
        true,
      ]);
    }
    for (const command of [{ ...upload, id: '../x' }, { ...upload, sha256: 'x' }, { ...upload, path: '/x' }, undefined])
      expect(problem(() => checkStream('upload', command))?.code).to.equal('host.invalid_command');
    expect(problem(() => checkStream('read-console', { id: '../../admin.key' }))?.code).to.equal('host.invalid_command');
    expect(checkStream('console', { id: launch.id, port: 'agent.0', write: true })).to.have.property('port', 'agent.0');
    expect(problem(() => checkStream('console', { id: launch.id, port: '../agent', write: true }))?.code).to.equal('host.invalid_command');
    expect(problem(() => checkStream('console', { id: launch.id, write: 1 }))?.code).to.equal('host.invalid_command');
  });

  it('reach no agent when they are refused, whichever way they come', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'flotilla-border-'));
    const reached: string[] = [];
    const stub = new Proxy(
      {},
      {
        get: (_target, name) => () => {
          reached.push(String(name));
          return Promise.resolve();
        },
      },
    ) as HostAgent;
    const server = await serveHostAgent(stub, { path: join(directory, 'socket'), group: undefined, log: pino({ level: 'silent' }) });
    const client = new SocketHostAgent(join(directory, 'socket'));
    try {
      const evil = { id: '../../../../etc/cron.d/x' };
      const calls = Object.keys(COMMANDS) as CommandName[];
      const sent = [
        ...calls.map((name) => client[name]({ ...evil, generation: 0 } as never, {})),
        client.uploadImage({ ...upload, ...evil } as UploadImageCommand, Readable.from(['x']), {}),
        client.readConsole(evil),
        client.openConsole({ ...evil, write: true }),
      ];
      const codes = await Promise.all(
        sent.map((one) =>
          (one as Promise<unknown>).then(
            () => 'done',
            (error: unknown) => (error instanceof ApiError ? error.code : String(error)),
          ),
        ),
      );
      // A command without a value never sends one, so the evil one did not travel with it.
      const bare = calls.filter((name) => reached.includes(name));
      expect(
        bare.filter((name) => !['describe', 'report', 'usedSubnets', 'listLeases', 'listMachines', 'beginCollect'].includes(name)),
      ).to.deep.equal([]);
      expect(reached.filter((name) => ['uploadImage', 'readConsole', 'openConsole'].includes(name))).to.deep.equal([]);
      expect(codes.filter((code) => code !== 'done' && code !== 'host.invalid_command')).to.deep.equal([]);
      await client.removeImage({ id: image });
      expect(reached).to.include('removeImage');
    } finally {
      await server.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});

function problem(run: () => unknown): ApiError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return error as ApiError;
  }
}
