// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type FlotillaError, Machine, openConsole, type ConsoleConnection } from '@flotilla/native';
import { expect } from 'chai';
import { type HostState, eventually, hostState, run } from './lib/host.js';
import { builtImages } from './lib/images.js';
import { mapped } from './lib/memory.js';
import { MovedMetrics } from './lib/moved-metrics.js';
import { written } from './lib/output.js';
import { Run } from './lib/run.js';
import { escapes, secret, useFolders, virtiofsd } from './lib/shares.js';
import { fetchProgram, HostProgram, programDisk } from './lib/sockets.js';
import { expectNothingLeft } from './lib/suite.js';
import { waitLimitMs } from './lib/limits.js';

const MEBIBYTE = 1 << 20;
const memoryKiB = 128 << 10;
/** Fills memory of the guest, which then is free again. */
const touch = 'dd if=/dev/zero of=/tmp/large bs=1M count=48 2>/dev/null; rm /tmp/large';

describe('Sockets between guest and host', () => {
  let folder: string;
  let disk: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-sockets-'));
    disk = programDisk(folder);
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('carry bytes both ways, whoever begins, as many connections as there are', () => bothWays([]));
  it('are the same for a micro machine', () => bothWays(['--profile', 'micro', '--acpi']));

  async function bothWays(flags: readonly string[]): Promise<void> {
    const path = join(folder, 'v');
    const server = await upperCaseServer(`${path}_52`);
    const guest = Run.start('', [...flags, '--vsock', `path=${path},cid=42`, '--disk', `path=${disk},format=raw,readonly`]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    guest.type(fetchProgram);
    guest.type('/tmp/vsock echo 7 & echo "cid=$(/tmp/vsock cid)"\n');
    await guest.shows(/cid=42/);
    await guest.shows(/vsock: listening/);

    const much = randomBytes(MEBIBYTE);
    expect((await (await HostProgram.say(path, 'CONNECT 7')).send(much).rest()).equals(much)).to.equal(true);
    const little = Array.from({ length: 12 }, (_, index) => `connection ${index}`);
    const echoes = little.map(async (text) => (await (await HostProgram.say(path, 'CONNECT 7')).send(text).rest()).toString());
    expect(await Promise.all(echoes)).to.deep.equal(little);
    expect(await (await HostProgram.say(path, 'CONNECT 8')).refused()).to.equal(true);

    guest.type('echo from the guest | /tmp/vsock connect 52\n');
    await guest.shows(/FROM THE GUEST/);
    guest.type('echo | /tmp/vsock connect 53 || echo nobody is "there"\n');
    await guest.shows(/nobody is there/);

    guest.type('poweroff -f\n');
    const { status, said } = await guest.end();
    server.close();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    expect(existsSync(path)).to.equal(false);
  }

  it('work from inside the jail of a worker, whose guest reaches the programs that wait for it, and survive a pause', async () => {
    const path = join(folder, 'w');
    const { kernel, initramfs } = builtImages();
    const machine = await Machine.create({
      id: 'sockets',
      runtimeDirectory: folder,
      spec: {
        cpus: 1,
        memory: 128 * MEBIBYTE,
        boot: { kernel: { path: kernel.vmlinux }, initrd: { path: initramfs.initramfs }, commandLine: 'console=ttyS0 quiet' },
        disks: [{ id: 'program', source: { path: disk }, format: 'raw', readOnly: true }],
        vsock: { socket: { path } },
      },
    });
    try {
      await machine.boot();
      const guest = await Console.open(machine.consolePath);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      const waiting = await HostProgram.say(path, 'ACCEPT 60');
      await guest.type(fetchProgram);
      await guest.type('/tmp/vsock echo 7 & echo from the guest | /tmp/vsock connect 60\n');
      await guest.shows(/vsock: listening/);
      expect((await waiting.send('').rest()).toString()).to.equal('from the guest\n');

      const open = await HostProgram.say(path, 'CONNECT 7');
      await machine.pause();
      open.send('said in a pause');
      await machine.resume();
      expect((await open.rest()).toString()).to.equal('said in a pause');
      const metrics = await machine.metrics();
      expect(metrics['vsock.connections']).to.equal(2);
      expect(metrics['vsock.transport_resets']).to.equal(0);
      guest.close();
    } finally {
      await machine.kill();
      await machine.close();
    }
  });
});

describe('Shared folders', () => {
  const folders = useFolders();
  let held: HostState;

  before(() => {
    held = hostState();
  });
  after(() => {
    expectNothingLeft(held);
  });

  it('are read and written by both, and nothing beside them', () => shared([]));
  it('are the same for a micro machine', () => shared(['--profile', 'micro', '--acpi']));

  async function shared(flags: readonly string[]): Promise<void> {
    const guest = await mounted(flags);
    expect(await guest.sh('cat /mnt/data/hello /mnt/fixed/hello')).to.equal('written by the host\nnot to be written');
    await guest.sh(
      'dd if=/dev/urandom of=/tmp/much bs=64k count=20 2>/dev/null; cp /tmp/much /mnt/data/deep/much; mkdir /mnt/data/new; sync',
    );
    const sum = createHash('md5')
      .update(readFileSync(join(folders.data, 'deep/much')))
      .digest('hex');
    expect(await guest.sh('md5sum < /tmp/much')).to.contain(sum);
    writeFileSync(join(folders.data, 'new/late'), 'written later\n');
    expect(await guest.sh('cat /mnt/data/new/late')).to.equal('written later');

    const refused = 'echo no > /mnt/fixed/hello; echo no > /mnt/fixed/more; rm /mnt/fixed/hello; mkdir /mnt/fixed/more';
    expect((await guest.sh(`{ ${refused}; } 2>&1`)).match(/Read-only file system/g)).to.have.length(4);
    expect(await guest.sh('mknod /mnt/data/disk b 8 0 2>&1')).to.contain('Operation not permitted');
    for (const line of escapes)
      expect(await guest.sh(`{ ${line}; } 2>&1`), line)
        .not.to.contain(secret)
        .and.not.to.contain('root:');
    expect(readFileSync(join(folders.fixed, 'hello'), 'utf8')).to.equal('not to be written\n');

    guest.type('poweroff -f\n');
    const { status, said } = await guest.end();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    await eventually('virtiofsd is gone', waitLimitMs, () => virtiofsd().length === 0);
    rmSync(join(folders.data, 'new'), { recursive: true });
  }

  it('take no machine with them when what serves them dies, and go with a machine that is killed', async () => {
    const guest = await mounted([]);
    expect(virtiofsd()).to.have.length(4);
    for (const pid of virtiofsd()) process.kill(pid, 'SIGKILL');
    await eventually('they are gone', waitLimitMs, () => virtiofsd().length === 0);
    expect(await guest.sh('echo still "here"')).to.equal('still here');
    guest.signal('SIGKILL');
    expect((await guest.end()).said.match(/the process that serves a shared folder is gone/g)).to.have.length(2);

    const other = await mounted([]);
    other.signal('SIGKILL');
    await other.end();
    await eventually('virtiofsd is gone', waitLimitMs, () => virtiofsd().length === 0);
  });

  it('must be folders', async () => {
    const refused = async (path: string) => (await Run.start('', ['--share', `tag=a,path=${path}`]).end()).said;
    expect(await refused(join(folders.data, 'hello'))).to.contain('share.not_folder at $.shares[0].source');
    expect(await refused(join(folders.data, 'nothing'))).to.contain('file.missing at $.shares[0].source');
  });

  async function mounted(flags: readonly string[]): Promise<Run> {
    const guest = Run.start('', [
      ...flags,
      '--share',
      `tag=data,path=${folders.data}`,
      '--share',
      `tag=fixed,path=${folders.fixed},readonly`,
    ]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    expect(await guest.sh('mkdir -p /mnt/data /mnt/fixed; for tag in data fixed; do mount -t virtiofs $tag /mnt/$tag; done')).to.equal('');
    return guest;
  }
});

describe('The console device', () => {
  /** What gives back each line that comes through the port `agent`, until nobody is there any more. */
  const answer =
    'port=$(grep -l agent /sys/class/virtio-ports/*/name); port=/dev/$(basename ${port%/name}); ' +
    '{ while read -r line <&3; do echo "got $line" >&3; done; echo "port" closed; } 3<>$port &\n';
  let folder: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-console-'));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('is the terminal of a machine, with a port at a socket', () => asTerminal([]));
  it('is the same for a micro machine', () => asTerminal(['--profile', 'micro', '--acpi']));

  async function asTerminal(flags: readonly string[]): Promise<void> {
    const path = join(folder, 'agent');
    const guest = Run.start('console=hvc0', [...flags, '--console', 'stdio', '--port', `name=agent,path=${path}`]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    expect(await guest.sh('tty')).to.equal('/dev/hvc0');
    let received = '';
    const program = createConnection({ path }).setEncoding('utf8');
    program.on('data', (text: string) => (received += text));
    program.write('over the port\n');
    guest.type(answer);
    await eventually('the guest answers', waitLimitMs, () => received === 'got over the port\n');
    program.end();
    await guest.shows(/port closed/);
    guest.type('poweroff -f\n');
    const { status, said } = await guest.end();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    expect(existsSync(path)).to.equal(false);
  }

  it('has the size of its writer, and carries bytes both ways at the pace of the slower side, from inside a worker', async () => {
    const { kernel, initramfs } = builtImages();
    const machine = await Machine.create({
      id: 'console',
      runtimeDirectory: folder,
      spec: {
        cpus: 1,
        memory: 128 * MEBIBYTE,
        boot: { kernel: { path: kernel.vmlinux }, initrd: { path: initramfs.initramfs }, commandLine: 'console=hvc0 quiet' },
        console: { ports: [{ name: 'other' }, { name: 'agent' }] },
      },
    });
    try {
      const path = machine.consolePath;
      await machine.boot();
      const guest = await Console.open(path, 'hvc0');
      await guest.connection.resize(132, 43);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      await guest.type('echo "size: $(stty size)"\n');
      await guest.shows(/size: 43 132/);
      await guest.connection.resize(80, 25);
      await guest.type('until [ "$(stty size)" = "25 80" ]; do usleep 100000; done; echo "now" smaller\n');
      await guest.shows(/now smaller/);
      for (const [port, code] of [
        ['hvc1', 'console.no_port'],
        ['hvc0', 'console.busy'],
      ] as const) {
        expect(await openConsole({ path, port, write: true }).then(String, (error: FlotillaError) => error.code)).to.equal(code);
      }

      const agent = await Console.open(path, 'agent');
      await guest.type(answer);
      await agent.type('one\n');
      await agent.shows(/^got one$/m);
      await machine.pause();
      await agent.type('two\n');
      await guest.connection.resize(81, 26);
      await machine.resume();
      await agent.shows(/^got two$/m);
      await guest.type('until [ "$(stty size)" = "26 81" ]; do usleep 100000; done; echo "resumed" larger\n');
      await guest.shows(/resumed larger/);
      agent.close();
      await guest.shows(/port closed/);

      // Four times as much as is kept of the output.
      const slow = await openConsole({ path, port: 'agent', write: true });
      await guest.type('dd if=/dev/zero bs=64k count=64 > $port 2>/dev/null; echo "all" written\n');
      await eventually('the guest waits', waitLimitMs, async () => ((await machine.metrics())['console.tx_waits'] ?? 0) > 0);
      let length = 0;
      for await (const bytes of slow.data) {
        length += bytes.length;
        if (length >= 4 * MEBIBYTE) break;
      }
      expect(length).to.equal(4 * MEBIBYTE);
      await guest.shows(/all written/);
      guest.close();
    } finally {
      await machine.kill();
      await machine.close();
    }
  });
});

describe('The memory balloon', () => {
  let folder: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-balloon-'));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('takes memory from a guest that runs, which the host then has, and gives it back', async () => {
    const { kernel, initramfs } = builtImages();
    const machine = await Machine.create({
      id: 'balloon',
      runtimeDirectory: folder,
      spec: {
        cpus: 1,
        memory: memoryKiB << 10,
        boot: { kernel: { path: kernel.vmlinux }, initrd: { path: initramfs.initramfs }, commandLine: 'console=ttyS0 quiet' },
        balloon: {},
      },
    });
    try {
      await machine.boot();
      const guest = await Console.open(machine.consolePath);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      await guest.type(`${touch} && echo "touched" one\n`);
      await guest.shows(/touched one/);
      const pid = (await machine.info()).pid;
      const touched = mapped(pid, memoryKiB, 'Rss') ?? 0;
      expect(touched).to.be.greaterThan(60 << 10);
      const { statistics: before } = await machine.balloon();

      await machine.setBalloon(80 * MEBIBYTE);
      await eventually('the guest gives memory up', waitLimitMs, async () => (await machine.balloon()).actual === 80 * MEBIBYTE);
      // What is in the balloon is nowhere: so little is left, whatever the guest had touched.
      expect(mapped(pid, memoryKiB, 'Rss')).to.be.at.most(48 << 10);
      const { target, statistics } = await machine.balloon();
      expect(target).to.equal(80 * MEBIBYTE);
      expect(statistics?.ageMs).to.be.lessThan(10_000);
      expect(statistics?.totalMemory).to.be.within(96 * MEBIBYTE, 128 * MEBIBYTE);
      expect((before?.freeMemory ?? 0) - (statistics?.freeMemory ?? 0)).to.be.within(72 * MEBIBYTE, 88 * MEBIBYTE);
      const metrics = await machine.metrics();
      expect(metrics['balloon.released_bytes']).to.equal(80 * MEBIBYTE);
      expect(metrics['balloon.ignored_pages']).to.equal(0);

      await machine.setBalloon(0);
      await eventually('the guest has its memory back', waitLimitMs, async () => (await machine.balloon()).actual === 0);
      await guest.type(`${touch} && echo "touched" two\n`);
      await guest.shows(/touched two/);
      expect(mapped(pid, memoryKiB, 'Rss')).to.be.greaterThan(60 << 10);
      await machine.pause();
      expect((await machine.balloon()).actual).to.equal(0);
      guest.close();
    } finally {
      await machine.kill();
      await machine.close();
    }
  });

  for (const profile of ['standard', 'micro'] as const)
    it(`takes what nothing in a ${profile} guest uses when it is asked to, and no page that is in use meanwhile`, async () => {
      const { kernel, initramfs } = builtImages();
      const machine = await Machine.create({
        id: `hints-${profile}`,
        runtimeDirectory: folder,
        spec: {
          cpus: 2,
          profile,
          acpi: true,
          memory: memoryKiB << 10,
          boot: { kernel: { path: kernel.vmlinux }, initrd: { path: initramfs.initramfs }, commandLine: 'console=ttyS0 quiet' },
          balloon: { freePageHinting: true },
        },
      });
      try {
        await machine.boot();
        const guest = await Console.open(machine.consolePath);
        await guest.shows(/flotilla-init ready[\s\S]*# /);
        await guest.type(`dd if=/dev/urandom of=/tmp/kept bs=1M count=4 2>/dev/null; ${touch}; echo "touched" it\n`);
        await guest.shows(/touched it/);
        const { pid } = await machine.info();
        const touched = mapped(pid, memoryKiB, 'Rss') ?? 0;
        const { released, complete } = await machine.reclaimMemory();
        expect(complete).to.equal(true);
        expect(released).to.be.at.least(32 * MEBIBYTE);
        expect(mapped(pid, memoryKiB, 'Rss')).to.be.at.most(touched - (24 << 10));
        expect((await machine.metrics())['balloon.hinted_bytes']).to.equal(released);

        // The guest fills its memory to the brim while it is asked over and over: it takes pages back that it has just named.
        const fill = 'for n in 1 2 3 4 5 6 7 8 9; do cat /tmp/kept; done > /tmp/full';
        const sums = 'for n in 1 2 3 4 5 6 7 8 9; do dd if=/tmp/full bs=4M skip=$((n - 1)) count=1 2>/dev/null | md5sum; done';
        await guest.type(
          `${fill}; [ $( (md5sum < /tmp/kept; ${sums}) | sort -u | wc -l) = 1 ] && echo "nothing" lost || echo "some" lost\n`,
        );
        let asked = 0;
        while (!guest.has(/(nothing|some) lost/)) {
          await machine.reclaimMemory();
          asked += 1;
        }
        expect(guest.has(/nothing lost/), `after ${asked} rounds`).to.equal(true);
        await machine.pause();
        expect(await machine.reclaimMemory().catch(({ code }: FlotillaError) => code)).to.equal('machine.state');
        guest.close();
      } finally {
        await machine.kill();
        await machine.close();
      }
    });

  it('lets a micro machine start with less, and give up unasked what a large file has held', async () => {
    // Linux reports only what it has beyond the needs of a report: 64 MiB, in some kernels 128.
    const largeKiB = 512 << 10;
    const resident = (): number => mapped(guest.pid, largeKiB, 'Rss') ?? 0;
    const guest = Run.start('', ['--profile', 'micro', '--acpi', '--memory', '512M', '--balloon', 'target=32M,reporting=on']);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    await guest.sh('dd if=/dev/zero of=/tmp/large bs=1M count=96 2>/dev/null');
    const full = resident();
    expect(full).to.be.within(96 << 10, 480 << 10);
    await guest.sh('rm /tmp/large');
    await eventually('the host has it back', waitLimitMs, () => resident() < full - (80 << 10));
    guest.type('poweroff -f\n');
    const { status, said } = await guest.end();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
  });
});

/** Gives back in capitals what it gets. */
describe('Metrics', () => {
  const [tap, hostAddress, guestAddress] = ['metrics-test0', '198.51.100.1', '198.51.100.2'];
  let folder: string;
  let held: HostState;
  let server: Server | undefined;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-metrics-'));
    run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
    run('ip', ['address', 'add', `${hostAddress}/24`, 'dev', tap]);
    run('ip', ['link', 'set', 'dev', tap, 'up']);
  });
  after(() => {
    server?.close();
    run('ip', ['tuntap', 'del', 'dev', tap, 'mode', 'tap']);
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('are declared, and each is moved by a Linux that uses all its devices, or by the test that a list names', async () => {
    const [program, data, memory, path] = [programDisk(folder), join(folder, 'data'), join(folder, 'memory'), join(folder, 'v')];
    for (const disk of [data, memory]) {
      writeFileSync(disk, '');
      truncateSync(disk, 16 * MEBIBYTE);
    }
    server = await upperCaseServer(`${path}_52`);
    const { kernel, initramfs } = builtImages();
    const words = `console=ttyS0 quiet flotilla.net=${guestAddress}/24`;
    const machine = await Machine.create({
      id: 'metrics',
      runtimeDirectory: folder,
      spec: {
        cpus: 2,
        memory: memoryKiB << 10,
        boot: { kernel: { path: kernel.vmlinux }, initrd: { path: initramfs.initramfs }, commandLine: words },
        disks: [
          { id: 'program', source: { path: program }, format: 'raw', readOnly: true },
          { id: 'data', source: { path: data }, format: 'raw' },
          { id: 'memory', source: { path: memory }, format: 'raw', attach: 'pmem' },
        ],
        interfaces: [{ id: 'eth0', tap: { name: tap } }],
        balloon: { freePageHinting: true },
        console: { ports: [{ name: 'agent' }] },
        vsock: { socket: { path } },
      },
    });
    try {
      await machine.boot();
      const guest = await Console.open(machine.consolePath);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      await guest.type(`${fetchProgram}cat /sys/block/vdb/serial\n`);
      await guest.type('dd if=/dev/urandom of=/dev/vdb bs=64k count=16 conv=fsync; dd if=/dev/vdb of=/dev/null bs=64k iflag=direct\n');
      await guest.type('dd if=/dev/urandom of=/dev/pmem0 bs=64k count=1 conv=fsync\n');
      await guest.type('blkdiscard /dev/vdb; head -c 64 /dev/hwrng > /dev/null\n');
      await guest.type(`ping -c 2 -W 10 ${hostAddress}; echo hello | /tmp/vsock connect 52; echo | /tmp/vsock connect 53\n`);
      const terminal = await Console.open(machine.consolePath, 'hvc0');
      await terminal.type('typed\n');
      await guest.type('head -n 1 < /dev/hvc0; /tmp/vsock echo 7 & echo "all" done > /dev/hvc0\n');
      await terminal.shows(/all done/);
      await guest.shows(/vsock: listening/);
      terminal.close();
      expect((await (await HostProgram.say(path, 'CONNECT 7')).send('back').rest()).toString()).to.equal('back');

      const moved = new MovedMetrics();
      await machine.setBalloon(32 * MEBIBYTE);
      await eventually('the guest gives memory up', waitLimitMs, async () => (await machine.balloon()).actual === 32 * MEBIBYTE);
      moved.look(await machine.metrics());
      await machine.setBalloon(0);
      await eventually('the guest has its memory back', waitLimitMs, async () => (await machine.balloon()).actual === 0);
      expect((await machine.reclaimMemory()).complete).to.equal(true);
      await machine.pause();
      await machine.resume();
      const last = await machine.metrics();
      moved.look(last);
      expect(MovedMetrics.undeclared(last)).to.deep.equal([]);
      expect(moved.missing()).to.deep.equal([]);
      expect(last['disk:data.write_bytes']).to.be.at.least(MEBIBYTE);
      guest.close();
    } finally {
      await machine.kill();
      await machine.close();
    }
  });
});

async function upperCaseServer(path: string): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk));
    socket.on('end', () => socket.end(Buffer.concat(chunks).toString().toUpperCase()));
  });
  await new Promise<void>((done) => server.listen(path, done));
  return server;
}

/** The console of a machine without an orchestrator. */
class Console {
  #output = '';

  private constructor(readonly connection: ConsoleConnection) {
    void this.collect();
  }

  static async open(path: string, port?: string): Promise<Console> {
    return new Console(await openConsole({ path, offset: 0, write: true, ...(port === undefined ? {} : { port }) }));
  }

  private async collect(): Promise<void> {
    for await (const chunk of this.connection.data) this.#output += Buffer.from(chunk).toString('latin1');
  }

  type(text: string): Promise<void> {
    return this.connection.write(text);
  }

  has(pattern: RegExp): boolean {
    return pattern.test(this.#output);
  }

  shows(pattern: RegExp): Promise<void> {
    return written(pattern, () => this.#output);
  }

  close(): void {
    this.connection.close();
  }
}
