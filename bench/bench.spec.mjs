// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { missedBars, verdictOn } from './lib/bars.mjs';
import { report } from './lib/report.mjs';

const one = (median) => ({ min: median, median, max: median, runs: 5 });

/** Results that meet every bar exactly, or are just above where `over` says so. */
function results(over = {}) {
  const { boot = 75, memory = 7, start = 1500, machine = 256, more = 25 } = over;
  const times = { Flotilla: one(boot), 'QEMU microvm': one(100), 'QEMU q35': one(200) };
  const beside = { Flotilla: one(memory * 1024), 'QEMU microvm': one(50_000), 'QEMU q35': one(50_000) };
  return {
    host: { system: 'Debian', cpus: 2, memoryMiB: 1024, kvm: 'software', root: true, rust: '1' },
    inLab: true,
    hypervisor: { boot: times, memory: beside, versions: { qemu: 'QEMU' } },
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

  for (const runs of ['4', '0', 'many']) {
    it(`refuses --runs ${runs}`, () => {
      const program = fileURLToPath(new URL('run.mjs', import.meta.url));
      const done = spawnSync(process.execPath, [program, '--runs', runs], { encoding: 'utf8', timeout: 20_000 });
      assert.equal(done.status, 1);
      assert.match(done.stderr, new RegExp(`^bench: --runs ${runs} is `));
    });
  }
});
