// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { type HostState, hostState, run } from './lib/host.js';
import { builtImages, type Compression } from './lib/images.js';
import { Run } from './lib/run.js';
import { expectNothingLeft } from './lib/suite.js';

const tap = 'run-test0';
const [hostAddress, guestAddress, mac] = ['192.0.2.1', '192.0.2.2', '52:54:00:12:34:56'];
const sector = 512;

/** How the payload of each kernel begins, so that a kernel in another packing is noticed. */
const payloads: Readonly<Record<Compression, readonly number[]>> = {
  gzip: [0x1f, 0x8b],
  bzip2: [0x42, 0x5a, 0x68],
  lzma: [0x5d, 0x00, 0x00],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  lzo: [0x89, 0x4c, 0x5a, 0x4f],
  lz4: [0x02, 0x21, 0x4c, 0x18],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
};

describe('flotilla-vmm run, with a real Linux', () => {
  let folder: string;
  let held: HostState;

  before(() => {
    held = hostState();
    folder = mkdtempSync(join(tmpdir(), 'flotilla-terminal-'));
    run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap', 'vnet_hdr']);
    run('ip', ['address', 'add', `${hostAddress}/24`, 'dev', tap]);
    run('ip', ['link', 'set', 'dev', tap, 'up']);
  });
  after(() => {
    run('ip', ['tuntap', 'del', 'dev', tap, 'mode', 'tap']);
    rmSync(folder, { recursive: true, force: true });
    expectNothingLeft(held);
  });

  // A machine without ACPI cannot be told to power off: its guest ends it by a reset.
  type Kind = readonly [what: string, flags: readonly string[], last: string, status: number, says: RegExp];
  const kinds: readonly Kind[] = [
    [
      'is a terminal for a guest with an initrd, two disks and a network, and ends with 0 when the guest powers off',
      [],
      'poweroff',
      0,
      /^$/,
    ],
    ['is the same for a micro machine, on an MP table', ['--profile', 'micro', '--on-reboot', 'stop'], 'reboot', 12, /asked for a reset/],
    ['is the same for a micro machine with ACPI', ['--profile', 'micro', '--acpi'], 'poweroff', 0, /^$/],
  ];
  for (const [what, flags, last, status, says] of kinds) {
    it(what, async () => {
      const [data, sealed] = [join(folder, 'data'), join(folder, 'sealed')];
      writeFileSync(data, 'from the host'.padEnd(8 * sector));
      writeFileSync(sealed, 'sealed'.padEnd(8 * sector));
      const disks = ['--disk', `path=${data},format=raw,serial=data-1`, '--disk', `path=${sealed},format=raw,readonly`];
      const words = `flotilla.net=${guestAddress}/24,${hostAddress}`;
      const guest = Run.start(words, ['--cpus', '2', ...disks, '--net', `tap=${tap},mac=${mac}`, ...flags]);
      await guest.shows(/flotilla-init ready[\s\S]*# /);
      // What it types is echoed: the words to be found are put together by the guest.
      guest.type('head -c 13 /dev/vda; cat /sys/block/vda/serial; echo " cpus=$(nproc) mac=$(cat /sys/class/net/eth0/address)"\n');
      guest.type('echo "bus=$(readlink -f /sys/block/vda/device | cut -d / -f 4 | cut -c 1-3)"\n');
      guest.type(`ping -c 1 -W 10 ${hostAddress} > /dev/null && echo the host "answers"\n`);
      guest.type('echo from the guest | dd of=/dev/vda seek=1 conv=fsync 2>/dev/null\n');
      guest.type('echo x | dd of=/dev/vdb 2>/dev/null || echo it is "sealed"\n');
      guest.type(`${last} -f\n`);
      const end = await guest.end();
      expect(end.output)
        .to.contain(`from the hostdata-1 cpus=2 mac=${mac}`)
        .and.to.contain('the host answers')
        .and.to.contain('it is sealed');
      expect(/bus=(\w+)/.exec(end.output.replaceAll('bus=$', ''))?.[1] === 'pci').to.equal(!flags.includes('micro'));
      expect(end.said).to.match(says);
      expect(end.status).to.equal(status);
      expect(readFileSync(data, 'utf8').slice(sector, sector + 14)).to.equal('from the guest');
      expect(readFileSync(sealed, 'utf8')).to.equal('sealed'.padEnd(8 * sector));
    });
  }

  for (const flags of [[], ['--profile', 'micro', '--acpi']]) {
    it(`ends with 0 when SIGTERM pressed the power button ${flags.join(' ')}`.trimEnd(), async () => {
      const guest = Run.start('flotilla.then=idle', flags);
      await guest.shows(/flotilla-init ready/);
      guest.signal('SIGTERM');
      expect((await guest.end()).status).to.equal(0);
    });
  }

  type End = readonly [guest: string, commandLine: string, flags: readonly string[], status: number, says: RegExp];
  const ends: readonly End[] = [
    ['panics', 'panic=0 flotilla.then=panic', [], 10, /The guest kernel panicked\n.*rip=0x/],
    // On a processor by AMD, as in the lab, KVM resets a CPU at its triple fault before anyone can look at it.
    ['restarts by a triple fault', 'reboot=t flotilla.then=reboot', [], 11, /triple fault\n.*cpu \d+: (?:.*rip=0x|its registers are lost)/],
    ['restarts, where the policy is to stop', 'flotilla.then=reboot', ['--on-reboot', 'stop'], 12, /asked for a reset/],
  ];
  for (const [what, commandLine, flags, status, says] of ends) {
    it(`ends with ${status} when the guest ${what}`, async () => {
      const end = await Run.start(commandLine, flags).end();
      expect(end.output).to.contain('flotilla-init ready');
      expect(end.said).to.match(says);
      expect(end.status).to.equal(status);
    });
  }

  // Not on all 32 that a machine may have: the one processor of a lab needs more than two minutes for so many, and 50 s for these.
  // The core's own tests run 32 (crates/vmm/src/tests/smp.rs).
  it('runs on 8 CPUs, and names the one that a panic came from', async () => {
    const guest = Run.start('panic=0', ['--cpus', '8']);
    await guest.shows(/flotilla-init ready[\s\S]*# /);
    guest.type('echo "cpus=$(nproc)"; taskset -c 7 sh -c "echo c > /proc/sysrq-trigger"\n');
    const { status, output, said } = await guest.end();
    expect(output).to.contain('cpus=8');
    expect(said).to.match(/The guest kernel panicked\n.*cpu 7: .*rip=0x/);
    expect(status).to.equal(10);
  });

  for (const [compression, file] of Object.entries(builtImages().kernel.bzImages) as [Compression, string][]) {
    it(`boots a bzImage packed with ${compression}`, async () => {
      expect(payloadStart(file, payloads[compression].length)).to.deep.equal(payloads[compression]);
      const { status, output, said } = await Run.start('flotilla.then=poweroff', [], file).end();
      expect(output, said).to.contain('flotilla-init ready');
      expect(status).to.equal(0);
    });
  }

  it('was given a kernel in each packing that the kernel knows', () => {
    expect(Object.keys(builtImages().kernel.bzImages)).to.have.members(Object.keys(payloads));
  });
});

/** The first bytes of what a bzImage unpacks (Linux, Documentation/arch/x86/boot.rst: setup_sects, payload_offset). */
function payloadStart(file: string, length: number): number[] {
  const image = readFileSync(file);
  const start = (image.readUInt8(0x1f1) + 1) * sector + image.readUInt32LE(0x248);
  return [...image.subarray(start, start + length)];
}
