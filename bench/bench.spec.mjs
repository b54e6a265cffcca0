// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { missedBars, verdictOn } from './lib/bars.mjs';
import { MICRO_END, microCommands } from './lib/candidates.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { timeToExit } from './lib/process.mjs';
import { report } from './lib/report.mjs';

const one = (median) => ({ min: median, median, max: median, runs: 5 });

/** Results that meet every bar exactly, or are just above where `over` says so. */
function results(over = {}) {
  const {
    boot = 75,
    micro = 55,
    memory = 7,
    equipped = 6,
    start = 1500,
    machine = 256,
    more = 25,
    disk = 1.5,
    qcow2 = 1.3,
    network = 1.3,
  } = over;
  const times = { Flotilla: one(boot), 'QEMU microvm': one(100), 'QEMU q35': one(200) };
  const beside = (own) => ({ Flotilla: one(own), 'QEMU microvm': one(50_000), 'QEMU q35': one(50_000) });
  return {
    host: { system: 'Debian', cpus: 2, memoryMiB: 1024, kvm: 'software', root: true, rust: '1' },
    machine: { cpu: 'Some CPU', kernel: 'Linux 6' },
    inLab: true,
    hypervisor: {
      standard: times,
      micro: { 'Flotilla micro': one(micro), 'QEMU microvm': one(100), 'QEMU microvm, acpi=off': one(80) },
      memory: { bare: beside(memory * 1024), equipped: beside((equipped * 1e6) / 1024) },
      versions: { qemu: 'QEMU', cpu: 'QEMU CPU', kernel: 'Linux 7' },
    },
    controlPlane: { start: one(start), perMachine: one(machine), create: { 'worker alone': one(5), 'through the API': one(5 + more) } },
    disk: {
      rows: {
        'randread:4k:1 iops': { Flotilla: one(disk), 'QEMU microvm': one(1) },
        'read:128k:8 MiB/s': { 'Flotilla qcow2': one(qcow2), 'QEMU q35 qcow2': one(1) },
      },
      absent: [],
      clock: 'by a clock',
    },
    network: { rows: { 'send Mbit/s': { 'Flotilla tap': one(network), 'QEMU tap': one(1) } }, absent: [], clock: 'by a clock' },
  };
}

describe('npm run bench', () => {
  it('fails for each bar that is missed, by its name, and for none that is just met', () => {
    assert.deepEqual(missedBars(results()), []);
    assert.equal(verdictOn(missedBars(results())), 0);
    const named = {
      boot: 'boot time, times',
      micro: 'profile micro',
      memory: 'memory beside',
      start: 'start of the',
      equipped: 'with a disk',
      machine: 'for each machine',
      more: 'API adds',
      disk: 'randread:4k:1',
      qcow2: 'Flotilla qcow2, read:128k:8',
      network: 'send',
    };
    for (const [bar, value] of Object.entries({
      boot: 76,
      micro: 56,
      memory: 7.1,
      start: 1501,
      equipped: 6.1,
      machine: 257,
      more: 25.1,
      disk: 1.49,
      qcow2: 1.29,
      network: 1.29,
    })) {
      const missed = missedBars(results({ [bar]: value }));
      assert.equal(missed.length, 1, bar);
      assert.ok(missed[0].includes(named[bar]), missed[0]);
      assert.equal(verdictOn(missedBars(results({ [bar]: value }))), 1);
      assert.equal(report(results({ [bar]: value })).match(/\*\*missed\*\*/g)?.length, 1, bar);
    }
    assert.equal(missedBars(results({ boot: Number.NaN })).length, 1, 'what is no number meets no bar');
  });

  it('lets the counted boot decide where there is one', () => {
    const slow = results({ boot: 200, micro: 200 });
    const { standard, micro } = results().hypervisor;
    slow.hypervisor.counted = { standard, micro };
    assert.deepEqual(missedBars(slow), []);
    const text = report(slow);
    assert.ok(!text.includes('**missed**'));
    assert.match(text, /ms of the lab \| 55\.0 .*\| at most 0\.55 × QEMU microvm \| 0\.55 × \(0\.69 × without ACPI\), met \|/);
    assert.match(text, /the same by the host’s clock, ms \| 200\.0 .*\| {2}\| 2\.00 × \(2\.50 × without ACPI\) \|/);
  });

  it('starts the profile micro and QEMU with the same words, and takes only a triple fault for the end', () => {
    const commands = microCommands({ kernel: { vmlinux: '/k' }, initramfs: { initramfs: '/i' } }, `quiet ${MICRO_END}`);
    for (const { argv } of Object.values(commands))
      assert.ok(argv.includes('quiet reboot=t panic=-1 flotilla.then=reboot'), argv.join(' '));
    const { 'Flotilla micro': own, ...peers } = commands;
    assert.match(own.argv.join(' '), /--profile micro --on-reboot stop$/);
    assert.equal(own.status, 11);
    for (const { argv, status } of Object.values(peers)) assert.ok(argv.includes('-no-reboot') && status === 0);
  });

  it('keeps the rows that a host without KVM cannot measure, and all others', () => {
    const without = results();
    without.controlPlane.create = undefined;
    const text = report(without);
    const unmeasured = text.split('\n').filter((line) => /worker alone|through SDK/.test(line) && line.includes('| not measured |'));
    assert.equal(unmeasured.length, 2);
    assert.match(text, /through SDK.*needs \/dev\/kvm/);
    assert.match(text, /each of 1,000 machines.*met/);
    assert.match(text, /start to listening.*met/);
    assert.equal(verdictOn(missedBars(without)), 0);
  });

  it('says on which processors and kernels it was measured, also of the lab', () => {
    const lines = report(results()).split('\n');
    assert.match(
      lines.find((line) => line.startsWith('- Host: ')),
      /; Some CPU; Linux 6$/,
    );
    assert.equal(
      lines.find((line) => line.startsWith('- Lab: ')),
      '- Lab: QEMU CPU; Linux 7',
    );
    assert.ok(!report({ ...results(), inLab: false }).includes('- Lab: '));
    assert.ok(cpuModel() !== '' && /^Linux \d/.test(kernelRelease()));
  });

  it('counts a boot only when the guest got to its user land', async () => {
    const guest = (script) => ['sh', '-c', script];
    assert.ok((await timeToExit(guest('echo it is ready now'), 'is ready')) > 0);
    await assert.rejects(timeToExit(guest('echo Unable to mount'), 'is ready'), /ended without "is ready": Unable to mount/);
    await assert.rejects(timeToExit(guest('echo is ready; echo broken >&2; exit 3'), 'is ready'), /ended with 3, not 0: broken/);
    assert.ok((await timeToExit(guest('echo is ready; exit 11'), 'is ready', 11)) > 0);
    await assert.rejects(timeToExit(guest('echo is ready'), 'is ready', 11), /ended with 0, not 11/);
  });

  for (const runs of ['4', '0', 'many']) {
    it(`refuses --runs ${runs}`, () => {
      const program = fileURLToPath(new URL('run.mjs', import.meta.url));
      const done = spawnSync(process.execPath, [program, '--runs', runs], { encoding: 'utf8', timeout: 20_000 });
      assert.equal(done.status, 1);
      assert.match(done.stderr, new RegExp(`^bench: --runs ${runs} is `));
    });
  }
});
