// SPDX-License-Identifier: Apache-2.0
import { closeSync, constants, existsSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fillDevice } from '@flotilla/native';
import type { DefinePool } from '@flotilla/sdk';
import { expect } from 'chai';
import { Cloud, newPlaces, smallMachine } from './lib/cloud.js';
import { makeExt4 } from './lib/file-systems.js';
import { type HostState, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { waitLimitMs } from './lib/limits.js';
import { expectNothingLeft } from './lib/suite.js';
import { surviveDeath } from './lib/two-disks.js';
import { leftByOthers, TestGroup } from './lib/volume-group.js';

const mebibyte = 1024 * 1024;

describe('Machines on logical volumes', () => {
  let folder: string;
  let held: HostState;
  let group: TestGroup;
  let foreign: string[];
  let cloud: Cloud;

  before(async () => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-base-'));
    group = new TestGroup(256, 64);
    foreign = group.foreign();
    cloud = await Cloud.start(newPlaces());
    await importSmallGuest(cloud.client);
  });
  after(async () => {
    await cloud.destroy();
    group.destroy();
    rmSync(folder, { recursive: true });
    expectNothingLeft(held);
  });

  const definition = (kind: 'lvm-thin' | 'lvm', more: object = {}): DefinePool => {
    const volumeGroup = group.name;
    const place = kind === 'lvm' ? { lvm: { volumeGroup, ...more } } : { lvmThin: { volumeGroup, thinPool: group.thinPool, ...more } };
    return { name: kind, kind, guardPercent: 0, ...place };
  };
  const failure = async (attempt: PromiseLike<unknown>): Promise<unknown> => {
    try {
      await attempt;
      return undefined;
    } catch (error) {
      const { code, problem } = error as { code?: string; problem?: { field?: string } };
      return [code, problem?.field].filter((one) => one !== undefined);
    }
  };
  const volumesOf = async (name: string) => (await cloud.machine(name)).data.observed.disks.map(({ volume }) => volume ?? '');

  it('have their disks there, thin and thick, and read after a kill what they wrote', async () => {
    for (const [wanted, field] of [
      [definition('lvm-thin', { volumeGroup: 'none' }), 'lvmThin.volumeGroup'],
      [definition('lvm-thin', { thinPool: 'foreign' }), 'lvmThin.thinPool'],
      [definition('lvm', { volumeGroup: 'none' }), 'lvm.volumeGroup'],
    ] as const)
      expect(await failure(cloud.client.pools.define(wanted)), field).to.deep.equal(['pool.place_invalid', field]);
    for (const kind of ['lvm-thin', 'lvm'] as const) {
      const pool = await cloud.client.pools.define(definition(kind));
      expect(pool, kind).to.deep.include({ state: 'ready', capabilities: kind === 'lvm' ? ['resize', 'preallocation'] : ['resize'] });
      const again = { ...definition(kind), name: 'again' };
      expect(await failure(cloud.client.pools.define(again))).to.deep.equal([
        'pool.place_taken',
        kind === 'lvm' ? 'lvm.volumeGroup' : 'lvmThin.thinPool',
      ]);
    }
    const base = join(folder, 'base');
    makeExt4(base, 10 * mebibyte, { text: Buffer.from('from the image') });
    await cloud.client.images.import({ name: 'base', kind: 'disk', format: 'raw', source: { path: base } });
    const disks = [
      { name: 'thin', image: 'base', pool: 'lvm-thin' },
      { name: 'thick', image: 'base', pool: 'lvm' },
    ];
    const guest = await surviveDeath(await cloud.boot('keeper', { disks, restartPolicy: { mode: 'never' } }));
    const volumes = await volumesOf('keeper');
    expect(group.ours()).to.deep.equal([group.thinPool, ...volumes].sort());

    // What a machine has, nobody else on the host gets, by whatever name of the device.
    for (const volume of volumes)
      expect(() => closeSync(openSync(group.device(volume), constants.O_RDWR | constants.O_EXCL)), volume).to.throw('EBUSY');
    expect(await failure(cloud.client.pools.stop('lvm'))).to.deep.equal(['pool.in_use']);

    // Larger under its guest: nothing of what others have left in the new extents is to be seen.
    const [, thick = ''] = volumes;
    expect(Number(run('blockdev', ['--getsize64', group.device(thick)])), 'whole extents').to.equal(12 * mebibyte);
    await cloud.client.volumes.resize(thick, { sizeMiB: 20 });
    await guest.sh('until [ "$(cat /sys/block/vdb/size)" = 40960 ]; do sleep 0.1; done');
    expect(await guest.sh("dd if=/dev/vdb bs=1M skip=10 2>/dev/null | tr -d '\\0' | wc -c")).to.equal('0');

    await guest.sh('umount /mnt/vda; umount /mnt/vdb');
    await guest.machine.stop({ timeoutSeconds: 60, thenKill: false });
    for (const volume of volumes) run('e2fsck', ['-fn', group.device(volume)]);
    await cloud.client.pools.stop('lvm');
    expect(volumes.map((volume) => existsSync(group.device(volume)))).to.deep.equal([true, false]);
    await cloud.client.pools.start('lvm');
    expect(Number(run('grep', ['-a', '-c', 'on vdb', group.device(thick)])), 'lines of the guest').to.be.greaterThan(0);

    await cloud.clear();
    expect(group.ours()).to.deep.equal([group.thinPool]);
    expect(group.freeHolds('on vdb'), 'what the guest had written, for who comes next').to.equal(false);
    expect(group.freeHolds(leftByOthers.trim()), 'the extents that nobody had are as they were').to.equal(true);
    expect(group.foreign()).to.deep.equal(foreign);
  });

  it('see an error, or wait for space, when the thin pool has none, as their disks say', async () => {
    const guest = await cloud.boot('hoarder', {
      disks: [
        { name: 'waits', sizeMiB: 100, pool: 'lvm-thin', onNoSpace: 'pause' },
        { name: 'fails', sizeMiB: 100, pool: 'lvm-thin' },
      ],
    });
    const writing = (disk: string) =>
      `i=0; while [ $i -lt 64 ] && dd if=/tmp/much of=/dev/${disk} bs=1M seek=$i conv=fsync 2>/dev/null; do i=$((i+1)); done`;
    await guest.sh('dmesg -n 1; head -c 1048576 /dev/urandom > /tmp/much');
    expect(await guest.sh(`${writing('vdb')}; [ $i -lt 64 ] && echo refused`)).to.equal('refused');
    expect((await guest.machine.refresh()).state).to.equal('running');
    const full = await cloud.client.pools.refresh('lvm-thin');
    expect([full.dataPercent, full.availableBytes]).to.deep.equal([100, 0]);
    const more = cloud.client.machines.create({ ...smallMachine('more'), disks: [{ name: 'a', image: 'base', pool: 'lvm-thin' }] });
    expect(await failure(more)).to.deep.equal(['pool.full', 'disks[0].image']);
    await guest.sh('blkdiscard /dev/vdb');
    expect((await cloud.client.pools.get('lvm-thin')).dataPercent).to.be.below(50);

    const events = await cloud.client.events({ target: guest.machine.id, kinds: ['machine.disk_full'] }).opened();
    await guest.type(`${writing('vda')}; echo "$i are" written`);
    for await (const { data } of events) {
      expect(data).to.deep.equal({ disk: 'waits' });
      break;
    }
    const paused = await guest.machine.waitFor('paused');
    group.enlargeThinPool(32);
    await paused.resume();
    await guest.console.expect('64 are written', { timeoutMs: waitLimitMs });
    const compared =
      'i=0; while [ $i -lt 64 ]; do dd if=/dev/vda bs=1M skip=$i count=1 iflag=direct 2>/dev/null | cmp - /tmp/much || break; i=$((i+1)); done';
    expect(await guest.sh(`${compared}; echo $i`)).to.equal('64');
  });

  it('are mistaken for no others, and take none with them', async () => {
    await cloud.clear();
    const disks = [{ name: 'a', sizeMiB: 8, pool: 'lvm' }];
    const machine = await cloud.client.machines.create({ ...smallMachine('idle'), start: false, disks });
    const [volume = ''] = await volumesOf('idle');

    // Who fills a device waits for who has just let go of it, and says so when nobody does.
    const held = openSync(group.device(volume), constants.O_RDWR | constants.O_EXCL);
    expect(await failure(fillDevice({ device: group.device(volume) }))).to.deep.equal(['disk.locked']);
    closeSync(held);
    await fillDevice({ device: group.device(volume) });

    // Without udev names are as old as the last program that made them itself: this one leads to what is another's by now.
    const name = join('/dev/mapper', `${group.name}-${volume.replaceAll('-', '--')}`);
    run('rm', [name]);
    run('cp', ['-a', join('/dev/mapper', `${group.name}-foreign`), name]);
    expect(await failure(machine.start())).to.deep.equal(['pool.unavailable']);
    expect(group.foreign()).to.deep.equal(foreign);
    run('dmsetup', ['mknodes']);

    run('lvcreate', ['-y', '-s', '-L', '4m', '-n', 'foreign-copy', `${group.name}/${volume}`]);
    expect(await failure(machine.delete({ force: true }))).to.deep.equal(['pool.in_use']);
    expect(run('lvs', ['--noheadings', '-o', 'origin', `${group.name}/foreign-copy`]).trim()).to.equal(volume);
    // What was to be deleted is tried again by itself.
    const gone = await cloud.client.events({ target: machine.id, kinds: ['machine.deleted'] }).opened();
    run('lvremove', ['-f', '-y', `${group.name}/foreign-copy`]);
    for await (const { kind } of gone) {
      expect(kind).to.equal('machine.deleted');
      break;
    }
    expect(group.ours()).to.deep.equal([group.thinPool]);
  });

  it('have a thin pool that says how full it is, also when somebody has let it sleep', async () => {
    for (const name of ['foreign-thin', group.thinPool]) run('lvchange', ['-an', `${group.name}/${name}`]);
    expect((await cloud.client.pools.refresh('lvm-thin')).dataPercent).to.be.above(5);
    run('lvchange', ['-ay', `${group.name}/foreign-thin`]);
    expect(group.foreign()).to.deep.equal(foreign);
  });

  it('leave the group as they found it', async () => {
    await cloud.clear();
    await cloud.client.images.delete('base');
    for (const kind of ['lvm-thin', 'lvm']) await cloud.client.pools.delete(kind);
    expect([group.ours(), group.tags(), group.foreign()]).to.deep.equal([[], '', foreign]);
  });
});
