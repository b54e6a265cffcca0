// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { Guest } from './lib/guest.js';
import { eventually } from './lib/host.js';
import { useCloud } from './lib/suite.js';
import { inEachProvenance, onEachTransport } from './lib/variants.js';
import { waitLimitMs } from './lib/limits.js';

describe('A machine', () => {
  const cloud = useCloud();

  onEachTransport((kind) => {
    let guest: Guest;

    before(async () => {
      guest = await cloud().boot('probe', {
        memoryMiB: 192,
        ...kind,
        disks: [
          { name: 'scratch', sizeMiB: 32, serial: 'scratch-1' },
          { name: 'sealed', sizeMiB: 16, readOnly: true },
        ],
        interfaces: [{ name: 'eth0', network: 'default' }],
        commandLine: 'flotilla.net=dhcp',
      });
    });
    after(() => cloud().clear());

    inEachProvenance(
      () => guest,
      () => {
        it('has the memory it asked for', async () => {
          const total = Number(/MemTotal:\s+(\d+)/.exec(await guest.sh('cat /proc/meminfo'))?.[1]);
          expect(total).to.be.within(140 * 1024, 192 * 1024);
        });

        it('has a random number generator', async () => {
          expect(await guest.sh('cat /sys/class/misc/hw_random/rng_current')).to.match(/^virtio_rng/);
          expect(await guest.sh('dd if=/dev/hwrng bs=64 count=1 2>/dev/null | wc -c')).to.equal('64');
        });

        it('sees its disks with their size and serial', async () => {
          expect(await guest.sh('cat /sys/block/vda/size')).to.equal(String((32 * 1024 * 1024) / 512));
          expect(await guest.sh('cat /sys/block/vda/serial')).to.equal('scratch-1');
        });

        it('reads back what it wrote', async () => {
          await guest.sh(
            'dd if=/dev/urandom of=/tmp/data bs=4096 count=256 2>/dev/null && dd if=/tmp/data of=/dev/vda bs=4096 conv=fsync 2>/dev/null',
          );
          await guest.sh('echo 3 > /proc/sys/vm/drop_caches');
          await guest.sh('dd if=/dev/vda bs=4096 count=256 2>/dev/null | cmp - /tmp/data');
        });

        it('cannot write to a disk that is read-only', async () => {
          expect(await guest.sh('cat /sys/block/vdb/ro')).to.equal('1');
          expect(await guest.sh('dd if=/dev/zero of=/dev/vdb bs=512 count=1 2>/dev/null && echo written || echo refused')).to.equal(
            'refused',
          );
        });

        it('has the address the API says, and reaches its gateway', async () => {
          const machine = await guest.machine.refresh();
          expect(await guest.sh('ip -4 addr show eth0')).to.contain(`inet ${machine.address}/`);
          const network = await cloud().client.networks.get('default');
          await guest.sh(`ping -c 1 -W 5 ${network.ipv4?.gateway}`);
        });

        it('is shown to have taken its address, for as long as its DHCP client was told', async () => {
          await eventually('the lease is shown', waitLimitMs, async () => (await guest.machine.refresh()).lease !== undefined);
          const machine = await guest.machine.refresh();
          expect(machine.lease?.ip).to.equal(machine.address);
          expect(Date.parse(machine.lease?.expiresAt ?? '')).to.be.within(Date.now(), Date.now() + 3_700_000);
          const network = await cloud().client.networks.get('default');
          expect(network.leases.find((one) => one.machine === machine.id)).to.include({ state: 'taken', ip: machine.address });
        });

        it('finds no device that needs a reset', async () => {
          expect(await guest.sh('grep -l . /sys/bus/virtio/devices/*/status | while read f; do cat $f; done | sort -u')).to.equal(
            '0x0000000f',
          );
        });
      },
    );
  });
});
