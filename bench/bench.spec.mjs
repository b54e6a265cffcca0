// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { missedBars, verdictOn } from './lib/bars.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { timeToExit } from './lib/process.mjs';
import { report } from './lib/report.mjs';

const one = (median) => ({ min: median, median, max: median, runs: 5 });

/** Results that meet every bar exactly, or are just above where `over` says so. */
function results(over = {}) {
  const { boot = 75, memory = 7, start = 1500, machine = 256, more = 25 } = over;
  const times = { Flotilla: one(boot), 'QEMU microvm': one(100), 'QEMU q35': one(200) };
  const beside = { Flotilla: one(memory * 1024), 'QEMU microvm': one(50_000), 'QEMU q35': one(50_000) };
  return {
    host: { system: 'Debian', cpus: 2, memoryMiB: 1024, kvm: 'software', root: true, rust: '1' },
    machine: { cpu: 'Some CPU', kernel: 'Linux 6' },
    inLab: true,
    hypervisor: { boot: times, memory: beside, versions: { qemu: 'QEMU', cpu: 'QEMU CPU', kernel: 'Linux 7' } },
    controlPlane: { start: one(start), perMachine: one(machine), create: { 'worker alone': one(5), 'through the API': one(5 + more) } },
  };
}

describe('npm run bench', () => {
  it('fails for each bar that is missed, by its name, and for none that is just met', () => {
    assert.deepEqual(missedBars(results()), []);
    assert.equal(verdictOn(results()), 0);
    const named = { boot: 'boot time', memory: 'memory beside', start: 'start of the', machine: 'for each machine', more: 'API adds' };
    for (const [bar, value] of Object.entries({ boot: 76, memory: 7.1, start: 1501, machine: 257, more: 25.1 })) {
      const missed = missedBars(results({ [bar]: value }));
      assert.equal(missed.length, 1, bar);
      assert.ok(missed[0].includes(named[bar]), missed[0]);
      assert.equal(verdictOn(results({ [bar]: value })), 1);
      assert.equal(report(results({ [bar]: value })).match(/\*\*missed\*\*/g)?.length, 1, bar);
    }
    assert.equal(missedBars(results({ boot: Number.NaN })).length, 1, 'what is no number meets no bar');
  });

  it('lets the counted boot decide where there is one', () => {
    const slow = results({ boot: 200 });
    slow.hypervisor.counted = results().hypervisor.boot;
    assert.deepEqual(missedBars(slow), []);
  });

  it('keeps the rows that a host without KVM cannot measure, and all others', () => {
    const without = results();
    without.controlPlane.create = undefined;
    const text = report(without);
    assert.equal(text.match(/not measured/g)?.length, 2);
    assert.match(text, /through SDK.*needs \/dev\/kvm/);
    assert.match(text, /each of 1,000 machines.*met/);
    assert.match(text, /start to listening.*met/);
    assert.equal(verdictOn(without), 0);
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
    await assert.rejects(timeToExit(guest('echo Kernel panic'), 'is ready'), /ended without "is ready": Kernel panic/);
    await assert.rejects(timeToExit(guest('echo is ready; echo broken >&2; exit 3'), 'is ready'), /ended with 3: broken/);
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
