// SPDX-License-Identifier: Apache-2.0
// Disks as a real Linux finds and uses them: queues, block size, write cache, discard, direct I/O.
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { eventually, type HostState, hostState, run } from './lib/host.js';
import { makeExt4, makeSmallRoot } from './lib/file-systems.js';
import { mappedFile } from './lib/memory.js';
import { Run } from './lib/run.js';
import { expectNothingLeft, useCloud } from './lib/suite.js';
import { eachDisk, surviveDeath } from './lib/two-disks.js';
import { waitLimitMs } from './lib/limits.js';

const MEBIBYTE = 1 << 20;
const size = 16 * MEBIBYTE;

describe('Disks of flotilla-vmm, with a real Linux', () => {
  let folder: string;
  let fileSystem: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-block-'));
    // A file system on a medium: memory takes no direct I/O everywhere, and is served in another way.
    fileSystem = join(folder, 'medium');
    mkdirSync(fileSystem);
    writeFileSync(join(folder, 'medium.img'), Buffer.alloc(64 * MEBIBYTE));
    run('mkfs.ext4', ['-q', join(folder, 'medium.img')]);
    run('mount', ['-o', 'loop', join(folder, 'medium.img'), fileSystem]);
  });
  after(() => {
    run('umount', [fileSystem]);
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('have a queue for each CPU, give space back, and keep to the cache and block size asked for', async () => {
    const [plain, direct, large, ring] = ['plain', 'direct', 'large', 'ring'].map((name) =>
      join(name === 'plain' ? folder : fileSystem, name),
    ) as [string, string, string, string];
    for (const path of [plain, direct, large]) writeFileSync(path, Buffer.alloc(size, 0x5a));
    writeFileSync(ring, Buffer.alloc(MEBIBYTE, 0x5a));
    const flags = [
      `path=${plain},format=raw,serial=plain-1`,
      `path=${direct},format=raw,cache=none`,
      `path=${large},format=raw,cache=writethrough,blocksize=4096,queues=1`,
      `path=${ring},format=raw,engine=direct,readonly,queues=3`,
    ].flatMap((disk) => ['--disk', disk]);
    const guest = Run.start('', ['--cpus', '2', ...flags]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    const look = 'cd /sys/block; for d in vda vdb vdc vdd; do ';
    guest.type(
      `${look}echo "$d: $(ls $d/mq | wc -l) $(cat $d/queue/logical_block_size $d/queue/write_cache $d/ro $d/serial | tr '\\n' ' ')"; done\n`,
    );
    guest.type('echo zeroes: $(($(cat vda/queue/write_zeroes_max_bytes) / 1048576))\n');
    // Through both CPUs, past the guest's own cache, at offsets of single blocks; from files, because a pipe gives parts of blocks.
    guest.type('for c in 1 2; do yes "cpu $c" | head -c 262144 > /tmp/$c; done\n');
    guest.type('for c in 1 2; do taskset $c dd if=/tmp/$c of=/dev/vdb bs=4k seek=$((c * 100)) count=64 oflag=direct 2>/dev/null; done\n');
    guest.type('yes large | head -c 12288 > /tmp/large; dd if=/tmp/large of=/dev/vdc bs=4k seek=7 conv=fsync 2>/dev/null\n');
    guest.type('taskset 2 dd if=/dev/vdb bs=4k skip=200 count=64 iflag=direct 2>/dev/null | md5sum; md5sum < /tmp/2\n');
    guest.type('blkdiscard -o 0 -l 8388608 /dev/vda; blkdiscard -o 4194304 -l 8388608 /dev/vdb; echo disc"arded"\n');
    await guest.shows(/discarded/);
    await eventually('the host has its blocks back', waitLimitMs, () => kept(plain) <= size / 2 && kept(direct) <= size / 2);
    guest.type('poweroff -f\n');
    const { status, output, said } = await guest.end();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    expect(output).to.match(/vda: 2 512 write back 0 plain-1/);
    expect(output).to.match(/vdb: 2 512 write back 0 disk1/);
    expect(output).to.match(/vdc: 1 4096 write through 0 disk2/);
    // Linux makes no more queues than it has CPUs.
    expect(output).to.match(/vdd: 2 512 write back 1 disk3/);
    expect(output).to.contain('zeroes: 128');
    const [sent, expected] = [...output.matchAll(/([0-9a-f]{32}) {2}-/g)].map(([, digest]) => digest);
    expect(sent).to.equal(expected).and.to.not.equal(undefined);
    expect(
      readFileSync(plain)
        .subarray(0, size / 2)
        .every((byte) => byte === 0),
    ).to.equal(true);
    expect(
      readFileSync(plain)
        .subarray(size / 2)
        .every((byte) => byte === 0x5a),
    ).to.equal(true);
    for (const cpu of [1, 2]) {
      const written = readFileSync(direct, 'latin1')
        .slice(cpu * 100 * 4096)
        .slice(0, 262144);
      expect(written === `cpu ${cpu}\n`.repeat(50_000).slice(0, 262144), `of CPU ${cpu}`).to.equal(true);
    }
    expect(readFileSync(large, 'latin1').slice(7 * 4096, 10 * 4096)).to.equal('large\n'.repeat(2100).slice(0, 3 * 4096));
  });

  it('are refused when the host cannot serve them as asked', async () => {
    const odd = join(folder, 'odd');
    writeFileSync(odd, Buffer.alloc(4096 + 512));
    const { status, said } = await Run.start('', ['--disk', `path=${odd},format=raw,blocksize=4096`]).end();
    expect(said).to.contain('disks[0].blockSize').and.to.contain('multiple of its blocks');
    expect(status).to.not.equal(0);
  });
});

describe('Disks that are memory, with a real Linux', () => {
  const large = randomBytes(24 * MEBIBYTE);
  const digest = createHash('md5').update(large).digest('hex');
  /** No multiple of 2 MiB: what lacks reads as zeroes. */
  const sharedBytes = 41 * MEBIBYTE + 4096;
  let folder: string;
  let shared: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-pmem-'));
    shared = join(folder, 'shared');
    makeExt4(shared, sharedBytes, { large });
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  const boot = (flags: readonly string[]) =>
    Run.start('', ['--disk', `path=${shared},format=raw,attach=pmem,readonly,id=shared`, ...flags]);
  const mounted = 'mkdir -p /mnt && mount -t ext4 -o ro,dax=always /dev/pmem0 /mnt && grep -c dax /proc/mounts';

  it('are mapped once for all machines that read them, on both transports; what is written is on the host', async () => {
    const own = join(folder, 'own');
    makeExt4(own, 32 * MEBIBYTE, {});
    const standard = boot(['--disk', `path=${own},format=raw,attach=pmem`]);
    const micro = boot(['--profile', 'micro', '--acpi']);
    for (const guest of [standard, micro]) {
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      expect(await guest.sh('cat /sys/block/pmem0/size')).to.equal(String((42 * MEBIBYTE) / 512));
      expect(await guest.sh(mounted)).to.equal('1');
      expect(await guest.sh('md5sum < /mnt/large')).to.contain(digest);
    }
    for (const { pid } of [standard, micro]) {
      const [resident, share] = ['Rss', 'Pss'].map((field) => mappedFile(pid, shared, field)) as [number, number];
      expect(resident, 'resident').to.be.at.least(large.length / 1024);
      // Each page is in two processes. The kernel maps some more around those that a guest asks for.
      expect(share / resident, `${share} of ${resident} KiB`).to.be.within(0.45, 0.6);
    }
    // In Linux's cache of the guest the file is not: it reads the host's.
    const cached = Number(/Cached:\s+(\d+)/.exec(await micro.sh('grep ^Cached /proc/meminfo'))?.[1]);
    expect(cached, 'KiB cached in the guest').to.be.below(large.length / 1024);

    await standard.sh('mkdir -p /own && mount -t ext4 -o dax=always /dev/pmem1 /own && cp /mnt/large /own/copy && umount /own');
    expect(digestInside(own, 'copy'), 'what was written').to.equal(digest);

    micro.type('poweroff -f\n');
    expect(await micro.end()).to.include({ status: 0, said: '' });
    // The file is cut short under its guest: that is the end of the machine, which can tell of it, and no signal.
    standard.type('umount /mnt; echo "unmoun"ted\n');
    await standard.shows(/unmounted/);
    truncateSync(shared, MEBIBYTE);
    standard.type('dd if=/dev/pmem0 of=/dev/null bs=1M iflag=direct\n');
    const { status, said } = await standard.end();
    truncateSync(shared, sharedBytes);
    expect(status, said).to.be.a('number').and.not.equal(0);
    expect(said).to.contain('Bad address');
  });

  it('are the root of machines that have nothing else, one file of the host for all of them', async () => {
    const root = join(folder, 'root');
    makeSmallRoot(root, 16 * MEBIBYTE);
    // Without that program in the initramfs the kernel looks for its root.
    const commandLine = 'rdinit=/absent root=/dev/pmem0 ro rootflags=dax=always init=/init';
    const flags = ['--disk', `path=${root},format=raw,attach=pmem,readonly`];
    const guests = [flags, [...flags, '--profile', 'micro', '--acpi']].map((each) => Run.start(commandLine, each));
    for (const guest of guests) {
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      expect(await guest.sh('grep " / ext4" /proc/mounts'))
        .to.contain('ro,')
        .and.to.contain('dax=always');
      expect(await guest.sh('echo text > /etc/text || echo not "written"')).to.contain('not written');
    }
    for (const guest of guests) {
      const [resident, share] = ['Rss', 'Pss'].map((field) => mappedFile(guest.pid, root, field)) as [number, number];
      expect(share, `${share} of ${resident} KiB`).to.be.below(0.75 * resident);
    }
    for (const guest of guests) {
      guest.type('poweroff -f\n');
      expect(await guest.end()).to.include({ status: 0, said: '' });
    }
  });

  it('are refused when they cannot be mapped as asked', async () => {
    const odd = join(folder, 'odd');
    writeFileSync(odd, Buffer.alloc(3 * MEBIBYTE));
    const { status, said } = await Run.start('', ['--disk', `path=${odd},format=raw,attach=pmem`]).end();
    expect(said).to.contain('disks[0].source').and.to.contain('2 MiB').and.to.contain('truncate --size=%2M');
    expect(status).to.not.equal(0);
  });
});

/** The digest of a file in a file system that nobody has mounted, as it is on the host now. */
function digestInside(image: string, file: string): string {
  const copy = `${image}.${file}`;
  run('debugfs', ['-R', `dump /${file} ${copy}`, image]);
  const digest = createHash('md5').update(readFileSync(copy)).digest('hex');
  rmSync(copy);
  return digest;
}

describe('What the API changes under a running Linux', () => {
  const cloud = useCloud();

  it('its disk is an image that machines share, as memory, which it cannot change; another is its own', async () => {
    const { client, places } = cloud();
    const path = join(places.dataDir, 'shared.img');
    makeExt4(path, 8 * MEBIBYTE, { text: Buffer.from('the same for all') });
    const image = await client.images.import({ name: 'shared', kind: 'disk', format: 'raw', source: { path } });
    rmSync(path);
    const disks = [
      { name: 'shared', image: 'shared', clone: 'shared', readOnly: true, attach: 'pmem' },
      { name: 'own', sizeMiB: 4, attach: 'pmem' },
    ] as const;
    const guest = await cloud().boot('sharer', { disks: [...disks] });
    const other = await cloud().boot('other', { disks: [disks[0]] });
    await guest.sh('yes "not mine" | head -c 8192 > /tmp/junk; dd if=/tmp/junk of=/dev/pmem0 bs=4k seek=100 conv=fsync 2>/dev/null');
    await guest.sh('dd if=/tmp/junk of=/dev/pmem1 bs=4k seek=1 conv=fsync 2>/dev/null');
    const metrics = await guest.machine.metrics();
    expect(metrics['pmem:shared.refused_writes']).to.be.greaterThan(0);
    expect(metrics['pmem:own.refused_writes']).to.equal(0);
    expect(metrics['pmem:own.flush_requests']).to.be.greaterThan(0);
    expect(metrics['pmem:shared.mapped_bytes']).to.equal(8 * MEBIBYTE);
    for (const one of [guest, other])
      expect(await one.sh('mkdir -p /mnt && mount -t ext4 -o ro,dax=always /dev/pmem0 /mnt && cat /mnt/text')).to.equal('the same for all');
    const volume = (await guest.machine.refresh()).data.observed.disks[1]?.volume ?? '';
    const file = readFileSync(join(places.dataDir, 'host/pools/default/volumes', volume), 'latin1');
    expect(file.slice(4096, 4096 + 9 * 900)).to.equal('not mine\n'.repeat(900));
    // A reboot finds it as it was; so does a machine that was paused.
    await guest.machine.pause();
    await guest.machine.resume();
    await guest.reboot();
    expect(await guest.sh('dd if=/dev/pmem1 bs=4k skip=1 count=1 2>/dev/null | head -c 8')).to.equal('not mine');
    const refused = await Promise.resolve(client.images.delete(image.id)).catch((error: unknown) => error);
    expect(refused).to.include({ code: 'image.in_use' });
    await cloud().clear();
    await client.images.delete(image.id);
  });

  it('its volumes are in a pool on a file system of its own, and hold what it wrote before its worker was killed', async () => {
    const { client } = cloud();
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-pool-'));
    const [medium, mountPoint, base] = ['medium', 'pool', 'base'].map((name) => join(folder, name)) as [string, string, string];
    writeFileSync(medium, '');
    truncateSync(medium, 128 * MEBIBYTE);
    run('mkfs.ext4', ['-q', medium]);
    mkdirSync(mountPoint);
    run('mount', ['-o', 'loop', medium, mountPoint]);
    try {
      makeExt4(base, 16 * MEBIBYTE, { text: Buffer.from('from the image') });
      const image = await client.images.import({ name: 'base', kind: 'disk', format: 'raw', source: { path: base } });
      const pool = await client.pools.define({ name: 'own', kind: 'dir', dir: { path: mountPoint } });
      expect(pool.capacityBytes, 'that of the file system').to.be.below(128 * MEBIBYTE);
      const disks = [
        { name: 'full', image: 'base', pool: 'own' },
        { name: 'linked', image: 'base', clone: 'linked', pool: 'own' },
      ] as const;
      const guest = await cloud().boot('pooled', { disks: [...disks], restartPolicy: { mode: 'never' } });
      const again = await surviveDeath(guest);
      await again.sh(eachDisk('umount /mnt/$d'));
      const refused: unknown = await Promise.resolve(client.pools.stop('own')).catch((error: unknown) => error);
      expect(refused).to.include({ code: 'pool.in_use' });
      await again.machine.stop({ timeoutSeconds: 60, thenKill: false });
      const [full = '', linked = ''] = (await again.machine.refresh()).data.observed.disks.map(({ volume }) =>
        join(mountPoint, 'volumes', volume),
      );
      run('e2fsck', ['-fn', full]);
      run('qemu-img', ['check', '-f', 'qcow2', linked]);
      run('qemu-img', ['convert', '-f', 'qcow2', '-O', 'raw', linked, base]);
      run('e2fsck', ['-fn', base]);
      await client.pools.stop('own');
      await client.pools.start('own');
      await again.machine.delete();
      await client.images.delete(image.id);
      await client.pools.delete('own');
      expect(readdirSync(mountPoint)).to.deep.equal(['lost+found']);
    } finally {
      await cloud().clear();
      run('umount', [mountPoint]);
      rmSync(folder, { recursive: true });
    }
  });

  it('its volume becomes larger', async () => {
    const guest = await cloud().boot('grower', { disks: [{ name: 'data', sizeMiB: 16 }] });
    expect(await guest.sh('cat /sys/block/vda/size')).to.equal('32768');
    const volume = (await guest.machine.refresh()).data.observed.disks[0]?.volume ?? '';
    expect((await cloud().client.volumes.resize(volume, { sizeMiB: 24 })).sizeBytes).to.equal(24 * MEBIBYTE);
    await guest.sh('until [ "$(cat /sys/block/vda/size)" = 49152 ]; do sleep 0.1; done');
    await guest.sh('echo "the end" | dd of=/dev/vda bs=512 seek=49151 conv=fsync 2>/dev/null');
    expect(await guest.sh('dd if=/dev/vda bs=512 skip=49151 2>/dev/null | head -c 7')).to.equal('the end');
  });

  it('its pool has no space: it sees an error or waits for it, as its disk says, and loses nothing', async () => {
    await cloud().clear();
    const volumes = join(cloud().places.dataDir, 'host/pools/default/volumes');
    run('mount', ['-t', 'tmpfs', '-o', 'size=8M', 'tmpfs', volumes]);
    try {
      const guest = await cloud().boot('hoarder', {
        disks: [
          { name: 'waits', sizeMiB: 16, onNoSpace: 'pause' },
          { name: 'fails', sizeMiB: 16, onNoSpace: 'report' },
        ],
      });
      await guest.sh('dmesg -n 1; head -c 12582912 /dev/urandom > /tmp/much');
      const digest = (await guest.sh('md5sum < /tmp/much')).slice(0, 32);
      expect(await guest.sh('dd if=/tmp/much of=/dev/vdb bs=1M conv=fsync 2>/dev/null || echo refused')).to.equal('refused');
      expect((await guest.machine.refresh()).state).to.equal('running');
      await guest.sh('blkdiscard /dev/vdb');

      const events = await cloud()
        .client.events({ target: guest.machine.id, kinds: ['machine.disk_full'] })
        .opened();
      await guest.type('dd if=/tmp/much of=/dev/vda bs=1M conv=fsync 2>/dev/null && echo "all is" written');
      for await (const { data } of events) {
        expect(data).to.deep.equal({ disk: 'waits' });
        break;
      }
      const paused = await guest.machine.waitFor('paused');
      expect((await paused.metrics())['disk:waits.space_waits']).to.be.greaterThan(0);
      run('mount', ['-o', 'remount,size=64M', volumes]);
      await paused.resume();
      await guest.console.expect('all is written', { timeoutMs: waitLimitMs });
      expect(await guest.sh('echo 3 > /proc/sys/vm/drop_caches; dd if=/dev/vda bs=1M count=12 2>/dev/null | md5sum')).to.contain(digest);
      const volume = (await guest.machine.refresh()).data.observed.disks[0]?.volume ?? '';
      const kept = readFileSync(join(volumes, volume)).subarray(0, 12 * MEBIBYTE);
      expect(createHash('md5').update(kept).digest('hex')).to.equal(digest);
    } finally {
      await cloud().clear();
      run('umount', [volumes]);
    }
  });

  it('it gives memory up, and so does the next one, which is started with the same target', async () => {
    const { machine } = await cloud().boot('lean', { balloon: { deflateOnOom: false, freePageHinting: true } });
    const reclaimed = await machine.reclaimMemory();
    expect(reclaimed.complete).to.equal(true);
    expect((await machine.metrics())['balloon.hinted_bytes']).to.equal(reclaimed.releasedBytes);
    const before = (await machine.balloon()).statistics?.totalBytes ?? 0;
    await machine.setBalloon(48);
    const given = async () => (await machine.balloon()).actualBytes === 48 * MEBIBYTE;
    await eventually('the guest gives memory up', waitLimitMs, given);
    // Without deflateOnOom Linux no longer counts it as its own.
    expect(before - ((await machine.balloon()).statistics?.totalBytes ?? 0)).to.equal(48 * MEBIBYTE);
    expect((await machine.metrics())['balloon.released_bytes']).to.equal(48 * MEBIBYTE);
    await machine.kill();
    await machine.start();
    await eventually('the next guest gives it up as it starts', waitLimitMs, given);
  });
});

describe('The limits of disks, with a real Linux', () => {
  const cloud = useCloud();
  const [rate, chunk] = [MEBIBYTE, 64 << 10];

  it('are not exceeded, hold for a group together, and change under a running guest', async () => {
    const disk = (name: string) => ({ name, sizeMiB: 8, throttle: { group: 'shared' } });
    const guest = await cloud().boot('limited', {
      disks: [disk('one'), disk('two'), { name: 'own', sizeMiB: 1, throttle: { operations: { perSecond: 20, burst: 10 } } }],
      throttleGroups: [{ name: 'shared', limits: { bytes: { perSecond: rate } } }],
    });
    const read = (device: string, bytes: number, block: number) =>
      `dd if=/dev/${device} of=/dev/null bs=${block} count=${bytes / block} iflag=direct 2>/dev/null`;
    /** Seconds that the command takes, by the clock of the guest, and how often disks had to wait. */
    const measure = async (command: string) => {
      const before = await waits();
      const times = await guest.sh(`read a x < /proc/uptime; ${command}; read b x < /proc/uptime; echo $a $b`);
      const [begin = 0, end = 0] = times.split(' ').map(Number);
      return { seconds: end - begin, waits: (await waits()) - before };
    };
    const waits = async () => {
      const metrics = await guest.machine.metrics();
      return ['one', 'two', 'own'].reduce((sum, name) => sum + (metrics[`disk:${name}.throttle_waits`] ?? Number.NaN), 0);
    };
    // Two at once: what flows in five seconds, and what the bucket held at first.
    const half = Math.floor((rate * 5.1) / 2 / chunk) * chunk;
    const both = await measure(`${read('vda', half, chunk)} & ${read('vdb', half, chunk)}; wait`);
    expect(both.seconds, 'seconds for what takes five').to.be.at.least(4.75);
    const counted = await measure(read('vdc', 58 * 4096, 4096));
    expect(counted.seconds, 'seconds for what takes 2.4').to.be.at.least(2.28);
    expect(Math.min(both.waits, counted.waits)).to.be.at.least(2);

    await guest.machine.setThrottle({ kind: 'group', name: 'shared', limits: { bytes: { perSecond: 2 * rate } } });
    expect((await measure(read('vda', 4 * rate, chunk))).seconds, 'seconds for what takes 1.9').to.be.at.least(1.8);
    await guest.machine.setThrottle({ kind: 'group', name: 'shared', limits: {} });
    await guest.machine.setThrottle({ kind: 'disk', name: 'own', limits: {} });
    expect((await measure(`${read('vda', 4 * rate, chunk)}; ${read('vdc', 100 * 4096, 4096)}`)).waits, 'without a limit').to.equal(0);
  });
});

/** Bytes that the host keeps for a file. */
function kept(path: string): number {
  return statSync(path).blocks * 512;
}
