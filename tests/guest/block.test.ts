// SPDX-License-Identifier: Apache-2.0
// Disks as a real Linux finds and uses them: queues, block size, write cache, discard, direct I/O.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { eventually, type HostState, hostState, run } from './lib/host.js';
import { Run } from './lib/run.js';
import { expectNothingLeft, useCloud } from './lib/suite.js';

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
    await eventually('the host has its blocks back', 10_000, () => kept(plain) <= size / 2 && kept(direct) <= size / 2);
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

describe('The volume of a running Linux', () => {
  const cloud = useCloud();

  it('becomes larger under it', async () => {
    const guest = await cloud().boot('grower', { disks: [{ name: 'data', sizeMiB: 16 }] });
    expect(await guest.sh('cat /sys/block/vda/size')).to.equal('32768');
    const volume = (await guest.machine.refresh()).data.observed.disks[0]?.volume ?? '';
    expect((await cloud().client.volumes.resize(volume, { sizeMiB: 24 })).sizeBytes).to.equal(24 * MEBIBYTE);
    await guest.sh('until [ "$(cat /sys/block/vda/size)" = 49152 ]; do sleep 0.1; done');
    await guest.sh('echo "the end" | dd of=/dev/vda bs=512 seek=49151 conv=fsync 2>/dev/null');
    expect(await guest.sh('dd if=/dev/vda bs=512 skip=49151 2>/dev/null | head -c 7')).to.equal('the end');
  });
});

/** Bytes that the host keeps for a file. */
function kept(path: string): number {
  return statSync(path).blocks * 512;
}
