// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { expect } from 'chai';
import { Cloud, newPlaces, smallMachine } from './lib/cloud.js';
import { Guest } from './lib/guest.js';
import { type HostState, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { expectNothingLeft } from './lib/suite.js';
import { TestGroup } from './lib/volume-group.js';

describe('Volumes of their own', () => {
  let held: HostState;
  let cloud: Cloud;
  let group: TestGroup;
  const fileOf = (id: string) => join(cloud.places.dataDir, 'host/pools/default/volumes', id);

  before(async () => {
    held = hostState();
    group = new TestGroup(128, 32);
    cloud = await Cloud.start(newPlaces());
    await importSmallGuest(cloud.client);
  });
  after(async () => {
    await cloud.destroy();
    group.destroy();
    expectNothingLeft(held);
  });

  it('go from one machine to the next with all that was written, though the first was killed', async () => {
    const { client } = cloud;
    const raw = await client.volumes.create({ name: 'raw', sizeMiB: 4, preallocate: 'full' });
    const qcow2 = await client.volumes.create({ name: 'qcow2', sizeMiB: 4, format: 'qcow2' });
    const names = ['raw', 'qcow2'];
    const writer = await client.machines.create({ ...smallMachine('writer'), start: false, restartPolicy: { mode: 'never' } });
    for (const name of names) await writer.attachDisk({ name, volume: name });
    const guest = await Guest.attach(await writer.start());
    await guest.sh('head -c 1048576 /dev/urandom > /tmp/much');
    for (const disk of ['vda', 'vdb']) await guest.sh(`dd if=/tmp/much of=/dev/${disk} bs=64k seek=9 conv=fsync 2>/dev/null`);
    const sum = await guest.sh('md5sum < /tmp/much');
    const killed = await guest.machine.kill();
    run('qemu-img', ['check', '-f', 'qcow2', fileOf(qcow2.id)]);

    for (const name of names) await killed.detachDisk(name);
    expect((await client.volumes.get(raw.id)).machine).to.equal(undefined);
    const reader = await cloud.boot('reader', { disks: names.map((name) => ({ name, volume: name, readOnly: true })) });
    for (const disk of ['vda', 'vdb'])
      expect(await reader.sh(`dd if=/dev/${disk} bs=64k skip=9 count=16 2>/dev/null | md5sum`), disk).to.equal(sum);
    await reader.machine.kill();

    // From files to files and devices, and from devices to both.
    const volumeGroup = group.name;
    const dir = { path: join(cloud.places.dataDir, '..', `flotilla-fast-${process.pid}`) };
    await client.pools.define({ name: 'fast', kind: 'dir', dir, guardPercent: 0 });
    await client.pools.define({ name: 'thin', kind: 'lvm-thin', lvmThin: { volumeGroup, thinPool: group.thinPool }, guardPercent: 0 });
    await client.pools.define({ name: 'thick', kind: 'lvm', lvm: { volumeGroup }, guardPercent: 0 });
    const copies = [
      ['raw', 'fast'],
      ['qcow2', 'thin'],
      ['raw', 'thick'],
      ['qcow2-thin', 'thick'],
      ['raw-thick', 'fast'],
    ] as const;
    for (const [volume, pool] of copies) await client.volumes.create({ name: `${volume}-${pool}`, pool, from: { volume } });
    const disks = copies.map(([volume, pool]) => ({ name: `${volume}-${pool}`, volume: `${volume}-${pool}`, readOnly: true }));
    const comparer = await cloud.boot('comparer', { disks });
    for (const [index, { name }] of disks.entries())
      expect(await comparer.sh(`dd if=/dev/vd${'abcde'[index] ?? ''} bs=64k skip=9 count=16 2>/dev/null | md5sum`), name).to.equal(sum);
    expect(await comparer.sh("dd if=/dev/vdd bs=64k skip=25 2>/dev/null | tr -d '\\0' | wc -c"), 'what others have left').to.equal('0');
    await cloud.clear();
    for (const { name } of await client.volumes.list().all()) await client.volumes.delete(name);
    for (const pool of ['fast', 'thin', 'thick']) await client.pools.delete(pool);
    expect(group.ours()).to.deep.equal([]);
  });
});
