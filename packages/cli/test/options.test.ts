// SPDX-License-Identifier: Apache-2.0
// Each option of the command line, by what it changes; that a command ends with 0 proves nothing.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Image, Machine, Network, Operation, Pool } from '@flotilla/sdk';
import { expect } from 'chai';
import { Cloud, end, eventually, type Outcome, shows } from './cloud.js';

interface Row {
  /** The options it is about. */
  readonly about: string;
  readonly args: readonly string[];
  readonly status?: number;
  /** What is different now. */
  readonly effect: (outcome: Outcome) => unknown;
}

const small = ['--kernel', 'kernel', '--memory', '64M', '--network', 'none'];
const create = (name: string, ...options: string[]): string[] => ['machine', 'create', name, ...small, ...options];

describe('The options of the command line', () => {
  const cloud = new Cloud();
  const elsewhere = mkdtempSync(join(tmpdir(), 'flotilla-elsewhere-'));
  const disk = join(elsewhere, 'disk.img');
  const content = Buffer.alloc(1 << 20, 'flotilla');
  const digest = createHash('sha256').update(content).digest('hex');
  const asDisk = ['--kind', 'disk', '--format', 'raw'];

  const imageNamed = async (name: string): Promise<Image | undefined> =>
    (await cloud.json<Image[]>('image', 'list')).find((image) => image.name === name);
  const machineNamed = (name: string): Promise<Machine> => cloud.json<Machine>('machine', 'show', name);
  const logsOf = async (name: string): Promise<string> => (await cloud.flotilla('machine', 'logs', name)).stdout;

  const table = (title: string, rows: readonly Row[]): void => {
    describe(title, () => {
      for (const { about, args, status = 0, effect } of rows) {
        it(about, async () => {
          const outcome = await cloud.run(args);
          expect(outcome.status, outcome.stderr).to.equal(status);
          await effect(outcome);
        });
      }
    });
  };

  before(async () => {
    writeFileSync(disk, content);
    const initrd = Buffer.alloc(4096);
    initrd.write('070701');
    writeFileSync(join(cloud.folder, 'initrd'), initrd);
    await cloud.start();
    await cloud.json('image', 'import', 'kernel', cloud.kernel, '--kind', 'kernel', '--format', 'elf', '--label', 'os=none');
    await cloud.json('image', 'import', 'initrd', join(cloud.folder, 'initrd'), '--kind', 'initrd', '--format', 'initrd');
    const labels = ['--label', 'tier=front', '--label', 'os=none'];
    await cloud.json(...create('plain', '--no-start', '--notes', 'old', '--protect', ...labels));
  });
  after(async () => {
    await cloud.stop();
    rmSync(elsewhere, { recursive: true, force: true });
  });

  table('of images', [
    {
      about: 'import --upload sends a file that the orchestrator may not read, --label goes with it',
      args: ['image', 'import', 'sent', disk, ...asDisk, '--upload', '--label', 'os=debian', '--label', 'tier=base'],
      effect: async () =>
        expect(await imageNamed('sent')).to.deep.include({
          sha256: digest,
          sizeBytes: content.length,
          source: { upload: true },
          labels: { os: 'debian', tier: 'base' },
        }),
    },
    {
      about: 'import --sha256 takes the content that it names',
      args: ['image', 'import', 'exact', disk, ...asDisk, '--upload', '--sha256', digest],
      effect: async () => expect(await imageNamed('exact')).to.include({ state: 'ready' }),
    },
    {
      about: 'import --upload --sha256 refuses other content, and nothing stays',
      args: ['image', 'import', 'other', disk, ...asDisk, '--upload', '--sha256', '0'.repeat(64)],
      status: 1,
      effect: async ({ stderr }) => {
        expect(stderr).to.contain('image.checksum_mismatch');
        expect(await imageNamed('other')).to.equal(undefined);
      },
    },
    {
      about: 'import --sha256 refuses other content of the host too',
      args: ['image', 'import', 'wrong', cloud.kernel, '--kind', 'kernel', '--format', 'elf', '--sha256', '0'.repeat(64)],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('image.checksum_mismatch'),
    },
    {
      about: 'import --kind takes no other',
      args: ['image', 'import', 'odd', disk, '--kind', 'floppy', '--format', 'raw'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('kernel, initrd, disk'),
    },
    {
      about: 'list names all',
      args: ['-o', 'name', 'image', 'list'],
      effect: ({ stdout }) => expect(stdout.trim().split('\n')).to.include.members(['exact', 'initrd', 'kernel', 'sent']),
    },
    {
      about: 'list --label names those with the label, each time it is given',
      args: ['-o', 'name', 'image', 'list', '--label', 'os=debian', '--label', 'tier=base'],
      effect: ({ stdout }) => expect(stdout).to.equal('sent\n'),
    },
    {
      about: 'list --label names none where no one has both',
      args: ['-o', 'name', 'image', 'list', '--label', 'os=none', '--label', 'tier=base'],
      effect: ({ stdout }) => expect(stdout).to.equal(''),
    },
    {
      about: 'delete takes it away',
      args: ['image', 'delete', 'exact'],
      effect: async ({ stderr }) => {
        expect(stderr).to.contain('Image exact is deleted.');
        expect(await imageNamed('exact')).to.equal(undefined);
      },
    },
    {
      about: 'delete of what is not there has the status for that',
      args: ['image', 'delete', 'exact'],
      status: 5,
      effect: ({ stderr }) => expect(stderr).to.contain('image.not_found'),
    },
  ]);

  table('of set', [
    {
      about: '--cpus, --memory and --name change a machine that is stopped',
      args: ['machine', 'set', 'plain', '--cpus', '2', '--memory', '96M', '--name', 'changed'],
      effect: async ({ stdout }) => {
        expect(stdout).to.match(/^name: +changed$/m);
        const machine = await machineNamed('changed');
        expect(machine.spec).to.include({ cpus: 2, memoryMiB: 96 });
        expect(machine).to.deep.include({ notes: 'old', protected: true, labels: { tier: 'front', os: 'none' } });
      },
    },
    {
      about: '--notes, --label and --unlabel change what they name',
      args: ['machine', 'set', 'changed', '--notes', 'new', '--label', 'tier=back', '--label', 'team=red', '--unlabel', 'os'],
      effect: async () =>
        expect(await machineNamed('changed')).to.deep.include({
          notes: 'new',
          protected: true,
          labels: { tier: 'back', team: 'red' },
        }),
    },
    {
      about: 'create --protect keeps it from being deleted, by force too',
      args: ['machine', 'delete', 'changed', '--force', '--yes'],
      status: 1,
      effect: async ({ stderr }) => {
        expect(stderr).to.contain('machine.protected');
        expect(await machineNamed('changed')).to.include({ name: 'changed' });
      },
    },
    {
      about: '--no-protect lets it go',
      args: ['machine', 'set', 'changed', '--no-protect'],
      effect: async () => {
        expect(await machineNamed('changed')).to.include({ protected: false, notes: 'new' });
        await cloud.flotilla('machine', 'delete', 'changed', '--yes');
        expect((await cloud.run(['machine', 'show', 'changed'])).status).to.equal(5);
      },
    },
    {
      about: 'without an option it says what there is',
      args: ['machine', 'set', 'plain'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('machine set --help'),
    },
  ]);

  table('of create', [
    {
      about: '--initrd, --cmdline, --cpus and --isolation are in the specification',
      args: create('told', '--initrd', 'initrd', '--cmdline', 'console=ttyS0 quiet', '--cpus', '3', '--isolation', 'in-process'),
      effect: async () => {
        const { spec } = await machineNamed('told');
        expect(spec.boot).to.include({ commandLine: 'console=ttyS0 quiet' });
        expect(spec.boot.initrd).to.equal((await imageNamed('initrd'))?.[spec.boot.initrd === 'initrd' ? 'name' : 'id']);
        expect(spec).to.include({ cpus: 3, isolation: 'in-process' });
        expect(await logsOf('told')).to.contain('3 CPUs, 64 MiB');
      },
    },
    {
      about: 'what the CPUs and the memory are like is in the specification',
      args: create(
        'shaped',
        ...['--cpus', '4', '--cpu-topology', 'cores=2,threads=2', '--cpu-model', 'x86-64-v2,+aes,-popcnt', '--nested'],
        ...['--pin-vcpus', '0/1//0-1', '--pin-io', '0', '--memory-backing', 'memfd', '--thp', 'never', '--prefault'],
        ...['--numa', 'cpus=0-1,memory=32M', '--numa', 'cpus=2:3,memory=32M,host=0,distances=21:10'],
      ),
      effect: async () => {
        const { spec } = await machineNamed('shaped');
        expect(spec.cpu).to.deep.equal({
          topology: { cores: 2, threads: 2 },
          model: 'x86-64-v2',
          enable: ['aes'],
          disable: ['popcnt'],
          nested: true,
          pin: { vcpus: [[0], [1], [], [0, 1]], io: [0] },
        });
        expect(spec.memoryOptions).to.deep.equal({ backing: 'memfd', transparentHugepages: 'never', prefault: true });
        expect(spec.numa).to.deep.equal([
          { cpus: [0, 1], memoryMiB: 32 },
          { cpus: [2, 3], memoryMiB: 32, hostNodes: [0], distances: [21, 10] },
        ]);
      },
    },
    {
      about: '--pin-vcpus takes only lists of numbers',
      args: create('odd', '--pin-vcpus', '0/x'),
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('neither a number nor a range'),
    },
    {
      about: '--isolation takes no other',
      args: create('odd', '--isolation', 'none'),
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('process, in-process'),
    },
    {
      about: '--no-start leaves it stopped, with nothing on its console',
      args: create('cold', '--no-start'),
      effect: async () => {
        expect(await machineNamed('cold')).to.nested.include({ 'observed.state': 'stopped', 'desired.state': 'stopped' });
        expect(await logsOf('cold')).to.equal('');
      },
    },
    {
      about: '--restart always starts one again that powered off',
      args: create('again', '--restart', 'always', '--cmdline', 'fake.poweroff_after=300'),
      effect: async () => {
        await eventually(
          () => machineNamed('again'),
          ({ observed }) => observed.restarts > 0,
        );
        await cloud.flotilla('machine', 'delete', 'again', '--yes', '--force');
      },
    },
    {
      about: '--restart never leaves one stopped that powered off',
      args: create('once', '--restart', 'never', '--cmdline', 'fake.poweroff_after=100'),
      effect: async () => {
        const { observed } = await eventually(
          () => machineNamed('once'),
          (machine) => machine.observed.state === 'stopped',
        );
        expect(observed.restarts).to.equal(0);
      },
    },
    {
      about: '--disk makes volumes of an image and of a size',
      args: create('disks', '--disk', 'image=sent,size=2M', '--disk', 'size=1M,name=data,serial=S1,readonly'),
      effect: async () => {
        const { spec, observed } = await machineNamed('disks');
        expect(observed.disks.map(({ name }) => name)).to.deep.equal(['root', 'data']);
        expect(spec.disks?.[0]).to.include({ sizeMiB: 2 });
        expect(spec.disks?.[1]).to.include({ sizeMiB: 1, serial: 'S1', readOnly: true });
      },
    },
    {
      about: '--disk clone=linked makes a volume that is based on its image',
      args: create('linked', '--disk', 'image=sent,clone=linked,size=2M'),
      effect: async () => {
        const { spec, observed } = await machineNamed('linked');
        expect(spec.disks?.[0]).to.include({ clone: 'linked', sizeMiB: 2 });
        const { stdout } = await cloud.flotilla('volume', 'show', observed.disks[0]?.volume ?? '');
        expect(stdout)
          .to.match(/format: +qcow2\n/)
          .and.to.match(/backing image: +img-/);
      },
    },
    {
      about: '--disk clone=shared,attach=pmem takes the image itself, as memory',
      args: create('shared', '--disk', 'image=sent,clone=shared,readonly,attach=pmem'),
      effect: async () => {
        const { spec } = await machineNamed('shared');
        expect(spec.disks?.[0]).to.include({ clone: 'shared', readOnly: true, attach: 'pmem' });
      },
    },
    {
      about: '--disk says how it is served',
      args: create('served', '--disk', 'image=sent,queues=2,cache=none,engine=direct,blocksize=4096,on-no-space=pause'),
      effect: async () =>
        expect((await machineNamed('served')).spec.disks?.[0]).to.include({
          queues: 2,
          cache: 'none',
          engine: 'direct',
          blockSize: 4096,
          onNoSpace: 'pause',
        }),
    },
    {
      about: 'volume resize makes the disk of a machine larger',
      args: create('grown', '--disk', 'size=1M'),
      effect: async () => {
        const volume = (await machineNamed('grown')).observed.disks[0]?.volume ?? '';
        expect((await cloud.flotilla('volume', 'resize', volume, '--size', '3M')).stdout).to.match(/MiB: +3\n/);
        expect((await cloud.flotilla('volume', 'show', volume)).stdout).to.match(/MiB: +3\n/);
        expect((await cloud.flotilla('volume', 'list')).stdout).to.match(new RegExp(`^${volume} +grown-`, 'm'));
      },
    },
    {
      about: '--network given twice makes two interfaces',
      args: ['machine', 'create', 'twice', '--kernel', 'kernel', '--memory', '64M', '--network', 'default', '--network', 'default'],
      effect: async () =>
        expect((await machineNamed('twice')).observed.addresses.map((one) => one.interface)).to.deep.equal(['eth0', 'eth1']),
    },
    {
      about: '--network takes the address that is kept for the machine',
      args: [
        'machine',
        'create',
        'fixed',
        '--kernel',
        'kernel',
        '--memory',
        '64M',
        '--network',
        'default,address=10.77.0.77',
        '--no-start',
      ],
      effect: async () => expect((await machineNamed('fixed')).observed.addresses[0]?.address).to.equal('10.77.0.77'),
    },
    {
      about: '--label is what list --label finds, and no other machine',
      args: create('labelled', '--label', 'tier=front', '--no-start'),
      effect: async () =>
        expect((await cloud.flotilla('-o', 'name', 'machine', 'list', '--label', 'tier=front')).stdout).to.equal('labelled\n'),
    },
    {
      about: '--no-wait ends before the machine runs, with the operation that goes on',
      args: create('later', '--no-wait', '--cmdline', 'fake.boot_ms=3000'),
      effect: async ({ stdout }) => {
        const id = stdout.trim();
        expect((await cloud.json<Operation>('operation', 'show', id)).state).to.be.oneOf(['pending', 'running']);
        expect((await cloud.flotilla('operation', 'watch', id)).stdout).to.contain('succeeded');
        expect((await machineNamed('later')).observed.state).to.equal('running');
      },
    },
  ]);

  const network = (name: string): Promise<Network> => cloud.json<Network>('network', 'show', name);
  table('of networks', [
    {
      about: 'define takes --kind, --subnet, --gateway, --dhcp-range, --mtu, --domain and --label',
      args: [
        ...['network', 'define', 'lab', '--kind', 'isolated', '--subnet', '10.91.0.0/24', '--gateway', '10.91.0.254'],
        ...['--dhcp-range', '10.91.0.10-10.91.0.20', '--mtu', '1400', '--domain', 'lab.test', '--label', 'team=red'],
        ...['--isolate-machines', '--no-anti-spoofing'],
      ],
      effect: async () =>
        expect(await network('lab')).to.deep.include({
          kind: 'isolated',
          ipv4: { subnet: '10.91.0.0/24', gateway: '10.91.0.254', dhcpRange: '10.91.0.10-10.91.0.20' },
          mtu: 1400,
          domain: 'lab.test',
          labels: { team: 'red' },
          isolateMachines: true,
          antiSpoofing: false,
        }),
    },
    {
      about: 'list --label shows those that have it, and no other',
      args: ['-o', 'name', 'network', 'list', '--label', 'team=red'],
      effect: ({ stdout }) => expect(stdout).to.equal('lab\n'),
    },
    {
      about: 'define --kind bridge takes --bridge',
      args: ['network', 'define', 'lan', '--kind', 'bridge', '--bridge', 'br0'],
      effect: async () =>
        expect(await network('lan'))
          .to.include({ kind: 'bridge', bridge: 'br0' })
          .and.not.to.have.property('ipv4'),
    },
    {
      about: 'set takes --mtu, --domain, --label and --unlabel',
      args: [
        'network',
        'set',
        'lab',
        '--mtu',
        'none',
        '--domain',
        'new.test',
        '--label',
        'a=b',
        '--unlabel',
        'team',
        '--isolate-machines',
        'off',
        '--anti-spoofing',
        'on',
      ],
      effect: async () => {
        const { mtu, ...rest } = await network('lab');
        expect(mtu).to.equal(undefined);
        expect(rest).to.deep.include({ domain: 'new.test', labels: { a: 'b' }, isolateMachines: false, antiSpoofing: true });
      },
    },
    {
      about: 'set --mtu is a number or none',
      args: ['network', 'set', 'lab', '--mtu', 'large'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('or none'),
    },
    {
      about: 'delete takes away what no machine is on',
      args: ['network', 'delete', 'lab'],
      effect: async () => expect((await cloud.flotilla('network', 'show', 'lab')).stderr).to.contain('network.not_found'),
    },
    {
      about: 'delete leaves the one of every installation',
      args: ['network', 'delete', 'default'],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('network.built_in'),
    },
  ]);

  describe('of forwards', () => {
    it('network forward, forwards and unforward lead a port to a machine, and no more', async () => {
      await cloud.json(...create('led', '--no-start').filter((word) => word !== 'none' && word !== '--network'));
      const made = await cloud.json<{ id: string }>(
        'network',
        'forward',
        'default',
        'tcp:28092:80',
        '--machine',
        'led',
        '--interface',
        'eth0',
      );
      expect((await cloud.flotilla('network', 'forwards', 'default')).stdout).to.match(new RegExp(`${made.id} +tcp +\\*:28092 +10\\.`));
      expect((await cloud.flotilla('network', 'forward', 'default', 'tcp:28092:80', '--machine', 'led')).stderr).to.contain(
        'forward.port_busy',
      );
      expect((await cloud.flotilla('network', 'forward', 'default', 'tcp', '--machine', 'led')).status).to.equal(2);
      expect((await cloud.flotilla('network', 'unforward', 'default', made.id)).status).to.equal(0);
      expect((await cloud.flotilla('-o', 'name', 'network', 'forwards', 'default')).stdout).to.equal('');
    });
  });

  const pool = (name: string): Promise<Pool> => cloud.json<Pool>('pool', 'show', name);
  table('of pools', [
    {
      about: 'define takes --path, --guard, --overcommit, --no-autostart and --no-start',
      args: [
        ...['pool', 'define', 'slow', '--path', join(elsewhere, 'slow'), '--guard', '7', '--overcommit', '1.5'],
        ...['--no-autostart', '--no-start'],
      ],
      effect: async () => {
        const { dir, ...rest } = await pool('slow');
        expect(dir?.path).to.equal(join(elsewhere, 'slow'));
        expect(rest).to.include({ guardPercent: 7, overcommitRatio: 1.5, autostart: false, state: 'stopped' });
      },
    },
    {
      about: 'define --kind names what there is',
      args: ['pool', 'define', 'tape', '--kind', 'tape'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('dir'),
    },
    {
      about: 'define --kind nfs takes --export, --nfs-version and --nfs-options; this server is away',
      args: ['pool', 'define', 'far', '--kind', 'nfs', '--export', 'nas:/srv', '--nfs-version', '4.1', '--nfs-options', 'soft,timeo=50'],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('pool.unavailable').and.to.contain('nas:/srv'),
    },
    {
      about: '--export is a server and a path',
      args: ['pool', 'define', 'far', '--kind', 'nfs', '--export', 'nas'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('server:/path'),
    },
    {
      about: '--nfs-options has no others',
      args: ['pool', 'define', 'far', '--kind', 'nfs', '--export', 'nas:/srv', '--nfs-options', 'soft,exec'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('"exec"').and.to.contain('nconnect'),
    },
    {
      about: 'define --kind lvm-thin takes --group and --thin-pool; there is no such group',
      args: ['pool', 'define', 'thin', '--kind', 'lvm-thin', '--group', 'none', '--thin-pool', 'tp'],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('pool.place_invalid').and.to.contain('"none" not found'),
    },
    {
      about: 'define --kind lvm takes --group; there is no such group',
      args: ['pool', 'define', 'thick', '--kind', 'lvm', '--group', 'none'],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('pool.place_invalid').and.to.contain('vgcreate'),
    },
    {
      about: '--group is the name of a group, and not an option or a tag',
      args: ['pool', 'define', 'thick', '--kind', 'lvm', '--group=@all'],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('pool.config_invalid').and.to.contain('lvm.volumeGroup'),
    },
    {
      about: 'define without --path says what is missing',
      args: ['pool', 'define', 'nowhere'],
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('pool.config_invalid').and.to.contain('dir'),
    },
    {
      about: 'start starts it',
      args: ['pool', 'start', 'slow'],
      effect: ({ stdout }) => expect(stdout).to.match(/^state: +ready$/m),
    },
    {
      about: 'autostart is on or off',
      args: ['pool', 'autostart', 'slow', 'on'],
      effect: async () => expect((await pool('slow')).autostart).to.equal(true),
    },
    { about: 'autostart is nothing else', args: ['pool', 'autostart', 'slow', 'maybe'], status: 2, effect: () => undefined },
    {
      about: 'set takes --guard and --overcommit any',
      args: ['pool', 'set', 'slow', '--guard', '0', '--overcommit', 'any'],
      effect: async () =>
        expect(await pool('slow'))
          .to.include({ guardPercent: 0 })
          .and.not.have.property('overcommitRatio'),
    },
    {
      about: 'refresh looks at it',
      args: ['pool', 'refresh', 'slow'],
      effect: ({ stdout }) => expect(stdout).to.match(/^capacity: +\d/m),
    },
    {
      about: 'machine create --disk pool= makes the volume there',
      args: create('pooled', '--disk', 'image=sent,pool=slow'),
      effect: async () => expect((await machineNamed('pooled')).spec.disks?.[0]?.pool).to.equal('slow'),
    },
    {
      about: 'list shows every pool, and stop is refused while a machine uses it',
      args: ['pool', 'stop', 'slow'],
      status: 1,
      effect: async ({ stderr }) => {
        expect(stderr).to.contain('pool.in_use').and.to.contain('pooled');
        expect((await cloud.flotilla('-o', 'name', 'pool', 'list')).stdout).to.equal('default\nslow\n');
        await cloud.flotilla('machine', 'delete', 'pooled', '--force', '--yes');
      },
    },
    {
      about: 'stop stops it',
      args: ['pool', 'stop', 'slow', '--force'],
      effect: async () => expect((await pool('slow')).state).to.equal('stopped'),
    },
    {
      about: 'delete --force does not ask the host for what is gone',
      args: ['pool', 'delete', 'slow', '--force'],
      effect: async ({ stderr }) => {
        expect(stderr).to.contain('slow is deleted');
        expect((await cloud.flotilla('pool', 'show', 'slow')).stderr).to.contain('pool.not_found');
      },
    },
  ]);

  table('of what was done', [
    {
      about: 'image delete refuses one that a machine boots from',
      args: ['image', 'delete', 'kernel'],
      status: 1,
      effect: async ({ stderr }) => {
        expect(stderr).to.contain('image.in_use');
        expect(await imageNamed('kernel')).to.include({ state: 'ready' });
      },
    },
    {
      about: 'a boot that fails ends with 1',
      args: create('broken', '--cmdline', 'fake.fail=boot'),
      status: 1,
      effect: ({ stderr }) => expect(stderr).to.contain('kernel.unrecognised'),
    },
    {
      about: 'operation list --state shows those in the state',
      args: ['-o', 'json', 'operation', 'list', '--state', 'failed'],
      effect: ({ stdout }) => {
        const found = JSON.parse(stdout) as Operation[];
        expect(found.map(({ target }) => target.name)).to.include('broken');
        expect(new Set(found.map(({ state }) => state))).to.deep.equal(new Set(['failed']));
      },
    },
    {
      about: 'operation list --state takes no other',
      args: ['operation', 'list', '--state', 'done'],
      status: 2,
      effect: ({ stderr }) => expect(stderr).to.contain('succeeded'),
    },
  ]);

  describe('of operations', () => {
    it('operation list --target shows those on one resource', async () => {
      const { id } = await machineNamed('told');
      const found = await cloud.json<Operation[]>('operation', 'list', '--target', id);
      expect(found.map(({ kind, target }) => [kind, target.id])).to.deep.equal([['machine.create', id]]);
    });
  });

  describe('of stop, with a guest that ignores the power button', () => {
    before(() => cloud.json(...create('deaf', '--cmdline', 'fake.deaf')));

    it('--no-kill fails when the time of --timeout is over, and it still runs', async () => {
      const began = Date.now();
      const { status, stderr } = await cloud.flotilla('machine', 'stop', 'deaf', '--timeout', '1', '--no-kill');
      expect(status, stderr).to.equal(1);
      expect(stderr).to.contain('machine.stop_timeout');
      expect(Date.now() - began).to.be.at.least(1000);
      await eventually(
        () => machineNamed('deaf'),
        ({ observed }) => observed.state === 'running', // after a look at the worker
      );
    });

    it('^C ends the command with 130, and the operation goes on', async () => {
      const stop = cloud.spawn(['machine', 'stop', 'deaf', '--timeout', '60']);
      await shows(stop.stderr, 'machine.stop deaf');
      expect(await end(stop, 'SIGINT')).to.equal(130);
      const running = await cloud.json<Operation[]>('operation', 'list', '--state', 'running');
      expect(running.map(({ kind, target }) => `${kind} ${target.name}`)).to.include('machine.stop deaf');
      expect((await cloud.flotilla('machine', 'kill', 'deaf')).status).to.equal(0);
    });

    it('kills without --no-kill', async () => {
      await cloud.json('machine', 'start', 'deaf');
      expect(await cloud.json('machine', 'stop', 'deaf', '--timeout', '1')).to.nested.include({ 'observed.state': 'stopped' });
    });
  });

  describe('of consoles and logs', () => {
    before(() => cloud.json(...create('talker')));

    it('console --read-only types nothing; --from begins at the byte', async () => {
      const all = await logsOf('talker');
      const watcher = cloud.spawn(['machine', 'console', 'talker', '--read-only', '--from', '9']);
      watcher.stdin?.write('forbidden\n');
      expect(await shows(watcher.stdout, '# ')).to.equal(all.slice(9));
      watcher.stdin?.write('\u001d');
      expect(await shows(watcher.stderr, 'Left the console')).to.contain(`at offset ${all.length}.`);
      expect(await logsOf('talker')).to.equal(all);
    });

    it('logs --tail prints the last bytes', async () => {
      const all = await logsOf('talker');
      expect((await cloud.flotilla('machine', 'logs', 'talker', '--tail', '7')).stdout).to.equal(all.slice(-7));
    });
  });
});
