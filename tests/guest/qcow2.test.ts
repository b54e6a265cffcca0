// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Guest } from './lib/guest.js';
import { type HostState, hostState, run } from './lib/host.js';
import { Run } from './lib/run.js';
import { expectNothingLeft, useCloud } from './lib/suite.js';

const mebibyte = 1024 * 1024;

describe('A Linux guest on a qcow2 image', () => {
  let folder: string;
  let held: HostState;
  const file = (name: string) => join(folder, name);

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-qcow2-'));
  });
  after(() => {
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  it('writes to an overlay, reboots, reads, and leaves a sound image and its base as it was', async () => {
    const content = Buffer.alloc(32 * mebibyte, 'from the base ');
    writeFileSync(file('base.raw'), content);
    run('qemu-img', ['convert', '-c', '-f', 'raw', '-O', 'qcow2', '-o', 'compression_type=zstd', file('base.raw'), file('middle.qcow2')]);
    run('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', 'middle.qcow2', '-F', 'qcow2', file('top.qcow2')]);
    copyFileSync(file('middle.qcow2'), file('kept.qcow2'));
    const disk = `path=${file('top.qcow2')},format=qcow2,backing=qcow2:${file('middle.qcow2')}`;
    const guest = Run.start('', ['--cpus', '2', '--disk', disk]);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    // What it types is echoed: the words to be found are put together by the guest.
    guest.type('head -c 13 /dev/vda; echo " is" read\n');
    await guest.shows(/from the base is read/);
    guest.type('yes "from the guest" | dd of=/dev/vda bs=4k seek=512 count=1024 iflag=fullblock conv=fsync 2>/dev/null\n');
    guest.type('dd if=/dev/zero of=/dev/vda bs=4k seek=4096 count=300 conv=fsync 2>/dev/null; echo it was "written"\n');
    await guest.shows(/it was written/);
    guest.type('reboot -f\n');
    await guest.shows(/flotilla-init ready[\s\S]*flotilla-init ready[\s\S]*# /);
    // The last line of what was written is not whole.
    guest.type('dd if=/dev/vda bs=4k skip=512 count=1024 2>/dev/null | head -c 4194300 | uniq; echo "after" the reboot\n');
    await guest.shows(/from the guest\r?\nafter the reboot/);
    guest.type('dd if=/dev/vda bs=4k skip=4096 count=300 2>/dev/null | tr -d "\\0" | wc -c | sed "s/^/left: /"; poweroff -f\n');
    const { status, output, said } = await guest.end();
    expect({ status, said }).to.deep.equal({ status: 0, said: '' });
    expect(output).to.match(/left: 0\r?\n/);

    const line = Buffer.from('from the guest\n');
    for (let at = 0; at < 1024 * 4096; at += line.length) line.copy(content, 512 * 4096 + at, 0, Math.min(line.length, 1024 * 4096 - at));
    content.fill(0, 4096 * 4096, (4096 + 300) * 4096);
    writeFileSync(file('expected.raw'), content);
    run('qemu-img', ['check', '-f', 'qcow2', file('top.qcow2')]);
    run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', file('top.qcow2'), file('expected.raw')]);
    expect(readFileSync(file('middle.qcow2')).equals(readFileSync(file('kept.qcow2')))).to.equal(true);
  });

  it('is not started on an image whose backing file nobody named', async () => {
    const { status, said } = await Run.start('flotilla.then=poweroff', ['--disk', `path=${file('top.qcow2')},format=qcow2`]).end();
    expect(said).to.contain('disk.backing').and.to.contain('middle.qcow2');
    expect(status).not.to.equal(0);
  });
});

describe('Two machines linked to one image, with a real Linux', () => {
  const cloud = useCloud();
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'flotilla-linked-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('each keep what they wrote, across a restart and as a disk grows; the image stays as it was, and as long as they do', async () => {
    const { client, places } = cloud();
    const pool = join(places.dataDir, 'host/pools/default');
    const content = Buffer.alloc(16 * mebibyte, 'from the image ');
    writeFileSync(join(folder, 'base'), content);
    const image = await client.images.import({ name: 'base', kind: 'disk', format: 'raw', source: { path: join(folder, 'base') } });
    const disks = [{ name: 'data', image: 'base', clone: 'linked' as const, sizeMiB: 24 }];
    const guests = await Promise.all(['one', 'two'].map((name) => cloud().boot(name, { disks })));
    const volumes: string[] = [];
    for (const [at, guest] of guests.entries()) {
      expect(await guest.sh('head -c 14 /dev/vda')).to.equal('from the image');
      await guest.sh(`yes "guest ${at}" | head -c 262144 > /tmp/own; dd if=/tmp/own of=/dev/vda bs=4k seek=100 conv=fsync 2>/dev/null`);
      volumes.push((await guest.machine.refresh()).data.observed.disks[0]?.volume ?? '');
    }
    await client.volumes.resize(volumes[0] ?? '', { sizeMiB: 32 });
    await guests[0]?.sh('until [ "$(cat /sys/block/vda/size)" = 65536 ]; do sleep 0.1; done');
    await guests[0]?.sh('echo "the end" | dd of=/dev/vda bs=512 seek=65535 conv=fsync 2>/dev/null');
    const refused: unknown = await client.images.delete('base').then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused).to.include({ code: 'image.in_use' });
    for (const [at, guest] of guests.entries()) {
      await guest.machine.stop({ timeoutSeconds: 60, thenKill: false });
      const again = await Guest.attach(await guest.machine.start());
      const own = 'dd if=/dev/vda bs=4k skip=100 count=64 2>/dev/null | head -c 8; head -c 14 /dev/vda';
      expect(await again.sh(own)).to.equal(`guest ${at}\nfrom the image`);
      await again.machine.stop({ timeoutSeconds: 60, thenKill: false });
    }
    // Not before both are off: for qemu-img an image that is held by another machine is in use.
    for (const [at, volume] of volumes.entries()) {
      const expected = Buffer.alloc((at === 0 ? 32 : 24) * mebibyte);
      content.copy(expected);
      Buffer.from(`guest ${at}\n`.repeat(40_000)).copy(expected, 100 * 4096, 0, 262144);
      if (at === 0) expected.write('the end\n', expected.length - 512);
      writeFileSync(join(folder, 'expected'), expected);
      const path = join(pool, 'volumes', volume);
      run('qemu-img', ['check', '-f', 'qcow2', path]);
      run('qemu-img', ['compare', '-f', 'qcow2', '-F', 'raw', path, join(folder, 'expected')]);
    }
    const left = createHash('sha256')
      .update(readFileSync(join(pool, 'images', image.id)))
      .digest('hex');
    expect(left).to.equal(image.sha256);
    for (const { machine } of guests) await machine.delete();
    await client.images.delete('base');
  });
});
