// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { expect } from 'chai';
import { Cloud, newPlaces, smallMachine } from './lib/cloud.js';
import { Guest } from './lib/guest.js';
import { type HostState, hostState, run } from './lib/host.js';
import { importSmallGuest } from './lib/images.js';
import { expectNothingLeft } from './lib/suite.js';

describe('Volumes of their own', () => {
  let held: HostState;
  let cloud: Cloud;
  const fileOf = (id: string) => join(cloud.places.dataDir, 'host/pools/default/volumes', id);

  before(async () => {
    held = hostState();
    cloud = await Cloud.start(newPlaces());
    await importSmallGuest(cloud.client);
  });
  after(async () => {
    await cloud.destroy();
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
    await cloud.clear();
    for (const name of names) await client.volumes.delete(name);
  });
});
