// SPDX-License-Identifier: Apache-2.0
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect } from 'chai';
import type { MachineHandle } from '@flotilla/sdk';
import { makeExt4 } from './lib/file-systems.js';
import { debian, Guest } from './lib/guest.js';
import { run } from './lib/host.js';
import { importDebian } from './lib/images.js';
import { escapes, secret, useFolders } from './lib/shares.js';
import { useCloud } from './lib/suite.js';
import { inEachIsolation, inEachProvenance } from './lib/variants.js';
import { waitLimitMs } from './lib/limits.js';

const payloadBytes = 2 << 20;
const bytesApart = 10;
const watchdogSeconds = 8;
/** `WDIOF_CARDRESET` of `linux/watchdog.h`. */
const cardReset = '32';
/** Feature bits that leave work on packets to the host, and the host's to the guest. */
const offloads = { CSUM: 0, GUEST_CSUM: 1, GUEST_TSO4: 7, GUEST_TSO6: 8, HOST_TSO4: 11, HOST_TSO6: 12 };
/** Counters of a device's transport that stay 0 with a driver that is sane and a host that can. */
const trouble = [
  'pci_doorbell_exits',
  'pci_doorbell_failures',
  'pci_activation_failures',
  'pci_needs_resets',
  'pci_refused_writes',
  'pci_msi_failures',
];

describe('An unmodified Debian 12', () => {
  const folders = useFolders();
  const cloud = useCloud({ FLOTILLA_SHARE_ROOTS: folders.root });

  inEachIsolation((isolation) => {
    let guest: Guest;
    let machine: MachineHandle;

    before(async () => {
      const commandLine = await importDebian(cloud().client);
      const path = join(cloud().places.dataDir, `data-${isolation}`);
      makeExt4(path, 16 << 20, { text: Buffer.from('once for all') });
      await cloud().client.images.import({ name: `data-${isolation}`, kind: 'disk', format: 'raw', source: { path } });
      machine = await cloud().client.machines.create({
        name: 'debian',
        cpus: 2,
        memoryMiB: 768,
        isolation,
        boot: { kernel: 'debian', initrd: 'debian-init', commandLine },
        // The engine is named because the lab keeps its files in memory, and the vCPU that rings serves those by itself else.
        disks: [
          { name: 'root', image: 'debian-disk', engine: 'direct' },
          { name: 'data', image: `data-${isolation}`, clone: 'shared', readOnly: true, attach: 'pmem' },
        ],
        watchdog: {},
        console: {},
        shares: [
          { tag: 'data', path: folders.data },
          { tag: 'fixed', path: folders.fixed, readOnly: true },
        ],
        interfaces: [{ name: 'eth0', network: 'default' }],
      });
      guest = await Guest.attach(machine, debian);
    });
    after(() => cloud().clear());

    inEachProvenance(
      () => guest,
      () => {
        it('runs the kernel of the distribution, on its own disk', async () => {
          expect(await guest.sh('uname -sr')).to.match(/^Linux 6\.1\..*cloud-amd64/);
          expect(await guest.sh('findmnt -no SOURCE /')).to.equal('/dev/vda');
          expect(await guest.sh('cat /etc/debian_version')).to.match(/^12\./);
        });

        it('reads back from its disk what it wrote, before a reboot too', async () => {
          const check = 'sha256sum --check --quiet written.sum';
          await guest.sh(`[ ! -e written ] || ${check}`);
          await guest.sh('head -c 300000 /dev/urandom >> written && sha256sum written > written.sum && sync');
          await guest.sh(`echo 3 > /proc/sys/vm/drop_caches && ${check}`);
        });

        it('has the folders that its host shares', async () => {
          await guest.sh(
            'cd /mnt; mkdir -p data fixed; for tag in data fixed; do mountpoint -q $tag || mount -t virtiofs $tag $tag; done; cd',
          );
          expect(await guest.sh('cat /mnt/data/hello /mnt/fixed/hello')).to.equal('written by the host\nnot to be written');
          const written = await guest.sh('head -c 300000 /dev/urandom > /mnt/data/deep/written; sha256sum < /mnt/data/deep/written');
          expect(written).to.contain(sha256(readFileSync(join(folders.data, 'deep/written'))));
          expect(await guest.sh('touch /mnt/fixed/hello 2>&1 || true')).to.contain('Read-only file system');
        });

        it('is woken by the alarm of its clock', async () => {
          const count = "awk '/rtc0/ { for (i = 2; i <= 3; i++) sum += $i; print sum }' /proc/interrupts";
          const before = Number(await guest.sh(count));
          await guest.sh('for seconds in 0 +2; do echo $seconds > /sys/class/rtc/rtc0/wakealarm; done');
          await guest.sh(`for i in $(seq 30); do [ "$(${count})" -gt ${before} ] && break; sleep 1; done`);
          expect(Number(await guest.sh(count))).to.be.greaterThan(before);
        });

        it('has the address that the network gave it, and answers a ping', async () => {
          machine = await machine.refresh();
          await guest.sh(`until ip -4 addr | grep -q ${machine.address}/; do sleep 1; done`);
          expect(await guest.sh('ip -4 -o addr show scope global')).to.contain(`${machine.address}/`);
          run('ping', ['-c', '1', '-W', '10', machine.address ?? '']);
        });

        it('is found by its name in the DNS of its network', async () => {
          const network = await cloud().client.networks.get('default');
          expect(await guest.sh(`busybox nslookup debian ${network.ipv4?.gateway} 2>&1 || true`)).to.contain(machine.address);
        });
      },
    );

    describe('after all that', () => {
      it('gets and sends whole megabytes over TCP, and leaves checksums and segments to the host', async () => {
        const features = await guest.sh('cat /sys/class/net/e*/device/features');
        for (const [name, bit] of Object.entries(offloads)) expect(features[bit], `VIRTIO_NET_F_${name}`).to.equal('1');
        const listens = "grep -Eqs ':1B58 0+:0000 0A' /proc/net/tcp /proc/net/tcp6";
        await guest.sh(
          `head -c ${payloadBytes} /dev/urandom > out; busybox nc -l -p 7000 < out > in & until ${listens}; do sleep 0.1; done`,
        );
        const sent = randomBytes(payloadBytes);
        const received = await exchange(machine.address ?? '', 7000, sent);
        const sums = await guest.sh('wait; sha256sum in out');
        expect(sums)
          .to.contain(`${sha256(sent)}  in`)
          .and.to.contain(`${sha256(received)}  out`);
        expect(received).to.have.length(payloadBytes);
      });

      it('has nothing beside the folders that its host shares', async () => {
        for (const line of escapes) expect(await guest.sh(`{ ${line}; } 2>&1 || true`), line).not.to.contain(secret);
      });

      it('reads a shared image as memory, past its own cache', async () => {
        await guest.sh('mkdir -p /data && mount -o ro,dax=always /dev/pmem0 /data');
        expect(await guest.sh('cat /data/text && grep -c " /data ext4 ro.*dax" /proc/mounts && umount /data')).to.equal('once for all1');
      });

      it('rings every doorbell without an exit, and neither device nor host complains', async () => {
        await guest.sh('cat out in > disk && sync disk && echo 3 > /proc/sys/vm/drop_caches && cmp <(cat out in) disk');
        const metrics = await machine.metrics();
        const counts = (counter: string): Record<string, number> =>
          Object.fromEntries(Object.entries(metrics).filter(([name]) => name.endsWith(`.${counter}`)));
        const devices = Object.keys(counts('pci_activations')).map((name) => name.replace('.pci_activations', ''));
        expect(devices).to.include.members(['disk:root', 'net:eth0']);
        for (const counter of trouble) {
          expect(counts(counter)).to.deep.equal(Object.fromEntries(devices.map((device) => [`${device}.${counter}`, 0])));
        }
        expect(metrics['net:eth0.tx_bytes']).to.be.greaterThan(payloadBytes);
        expect(metrics['net:eth0.rx_bytes']).to.be.greaterThan(payloadBytes);
      });

      it('has the clock of KVM, and by PTP that of its host where KVM can tell it', async () => {
        expect(await guest.sh('cat /sys/devices/system/clocksource/clocksource0/available_clocksource')).to.match(/\bkvm-clock\b/);
        const name = await guest.sh('if modprobe -q ptp_kvm; then cat /sys/class/ptp/ptp*/clock_name; else echo none; fi');
        expect(name).to.be.oneOf(['KVM virtual PTP', 'none']);
      });

      if (isolation === 'process')
        it('is reset by its watchdog once nobody resets that, and is told so', async () => {
          const watchdog = '/sys/class/watchdog/watchdog0';
          expect(await guest.sh(`modprobe wdat_wdt && cd ${watchdog} && cat identity bootstatus state; cd`)).to.equal(
            'wdat_wdt\n0\ninactive',
          );
          await guest.sh(
            `busybox watchdog -F -T ${watchdogSeconds} -t 1 /dev/watchdog & echo $! > /run/keeper; until grep -qx active ${watchdog}/state; do sleep 1; done`,
          );
          const before = await guest.bootId();
          await guest.prompt();
          await guest.type('kill -9 $(cat /run/keeper); exec sleep infinity');
          await guest.prompt();
          expect(await guest.bootId()).not.to.equal(before);
          expect(await guest.sh(`modprobe wdat_wdt && cat ${watchdog}/bootstatus`)).to.equal(cardReset);
          const metrics = await machine.metrics();
          expect(metrics['watchdog.expirations']).to.equal(1);
          expect((await machine.refresh()).state).to.equal('running');
        });

      if (isolation === 'process')
        it('lets a user log in on the terminal of its console device, which is as large as the one of who types', async () => {
          await guest.sh("useradd -m -s /bin/bash stoker && echo 'stoker:furnace' | chpasswd");
          const terminal = await machine.console({ port: 'hvc0' });
          await guest.sh('systemctl start serial-getty@hvc0.service');
          await terminal.expect(/\blogin: $/m, { timeoutMs: waitLimitMs });
          await terminal.write('stoker\n');
          await terminal.expect('Password: ', { timeoutMs: waitLimitMs });
          await terminal.write('furnace\n');
          await terminal.expect(/stoker@\S+:~\$ /, { timeoutMs: waitLimitMs });
          await terminal.resize(132, 43);
          await terminal.write('until [ "$(stty size)" = "43 132" ]; do sleep 0.1; done; echo "$(id -un) on" $(tty)\n');
          await terminal.expect('stoker on /dev/hvc0', { timeoutMs: waitLimitMs });
          terminal.close();
          await guest.sh('systemctl stop serial-getty@hvc0.service');
        });

      it('lets a user log in with a password, by a serial port whose transmitter interrupts', async () => {
        await guest.sh("useradd -m -s /bin/bash sailor && echo 'sailor:topgallant' | chpasswd");
        const unit = 'serial-getty@ttyS0.service';
        await guest.sh(`sed -i 's/--autologin root//' /etc/systemd/system/${unit}.d/flotilla.conf && systemctl daemon-reload`);
        await guest.type(`systemctl --no-block restart ${unit}`);
        await guest.console.expect(/\blogin: $/m, { timeoutMs: waitLimitMs });
        await guest.type('sailor');
        await guest.console.expect('Password: ', { timeoutMs: waitLimitMs });
        await guest.type('topgallant');
        await guest.prompt(/sailor@\S+:~\$ /);
        expect(await guest.sh('id -un; tty')).to.equal('sailor\n/dev/ttyS0');
        // Each byte finds the transmitter empty, because stty waits until all is sent; a driver that polls has no interrupt for it.
        const writes = `for i in $(seq ${bytesApart}); do printf .; stty echo; done`;
        const shown = await guest.sh(`grep ttyS0 /proc/interrupts; ${writes}; echo; grep ttyS0 /proc/interrupts`);
        const [before = Number.NaN, after = Number.NaN] = shown
          .split('\n')
          .filter((line) => line.includes('ttyS0'))
          .map(interrupts);
        expect(after - before).to.be.at.least(bytesApart);
      });

      it('powers off when the button is pressed', async () => {
        const stopped = await machine.stop({ timeoutSeconds: 120, thenKill: false });
        expect(stopped.state).to.equal('stopped');
      });
    });
  });
});

/** Sends `bytes` and gives what comes back until the other end has no more. */
async function exchange(host: string, port: number, bytes: Buffer): Promise<Buffer> {
  const socket = connect({ host, port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(bytes);
  await once(socket, 'end');
  socket.end();
  await once(socket, 'close');
  return Buffer.concat(chunks);
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** All processors' counts in a line of /proc/interrupts. */
function interrupts(line: string): number {
  const counts = /^\s*\d+:((?:\s+\d+)+)\s/.exec(line)?.[1] ?? '';
  return counts
    .trim()
    .split(/\s+/)
    .map(Number)
    .reduce((sum, count) => sum + count, 0);
}
