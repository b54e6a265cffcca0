// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { chosen } from './lib/candidates.mjs';
import { CountingLabs, MOST_REPEATS } from './lib/counting-labs.mjs';
import { runJobs } from './lib/guest.mjs';
import { BROKE, DEAD, HUNG, Lost, refusePanic, writeResult } from './lib/lost.mjs';
import { timeToExit } from './lib/process.mjs';
import { hypervisorTable } from './lib/report.mjs';
import { inRounds } from './lib/rounds.mjs';
import { diskTable, networkTable } from './lib/rows.mjs';
import { countedRun, lab } from './lib/runs.mjs';

const FULL = 90;
const SAID = /^A lab for each run; of 23, 3 hung, 1 broke their guest and 2 did not start: those runs were made again\.$/m;

/** Labs whose outcomes are given: seconds for one that ends, why it has no figure for one that does not. Notes the limit of each. */
function fakeLabs(...outcomes) {
  const [said, limits] = [[], []];
  const labs = new CountingLabs(FULL, (line) => said.push(line));
  const run = (limit) => {
    limits.push(limit);
    const outcome = outcomes.shift();
    return typeof outcome === 'string' ? { failed: outcome } : { seconds: outcome, result: `took ${outcome}` };
  };
  return { labs, run, said, limits };
}

describe('labs that count instructions', () => {
  it('are started again when they give no figure: said, counted, and the figure is of the one that ended', () => {
    const { labs, run, said } = fakeLabs(7, HUNG, HUNG, 8, BROKE, DEAD, 9);
    assert.equal(labs.measure('first', run), 'took 7');
    assert.equal(labs.measure('second', run), 'took 8');
    assert.equal(labs.measure('third', run), 'took 9');
    const third = ['third: guest broke down, again (1)', 'third: lab did not start or died, again (2)'];
    assert.deepEqual(said, ['second: lab hung, again (1)', 'second: lab hung, again (2)', ...third]);
    assert.deepEqual([labs.started, labs.hung, labs.broke, labs.dead], [7, 2, 1, 1]);
  });

  it('are given up when they hang for ever, with what is to be done', () => {
    const { labs, run, limits, said } = fakeLabs(...Array.from({ length: 99 }, () => HUNG));
    const hopeless = () => labs.measure('network, QEMU tap, round 2', run);
    assert.throws(hopeless, ({ message, remedy }) => {
      assert.match(message, /^network, QEMU tap, round 2: 5 labs .* gave no figure, the last because: lab hung$/);
      assert.match(remedy, /run it again, or .*: npm run bench -- --clock host$/);
      return true;
    });
    assert.equal(limits.length, MOST_REPEATS + 1);
    assert.equal(labs.hung, MOST_REPEATS + 1);
    assert.equal(said.length, MOST_REPEATS);
  });

  it('have a limit that is sized by the slowest of them, and all of it when they are started again', () => {
    const { labs, run, limits } = fakeLabs(7, 9, HUNG, 2, 1, 60, 1);
    for (let index = 0; index < 6; index++) labs.measure('one', run);
    assert.deepEqual(limits, [FULL, 21, 27, FULL, 27, 27, 180]);
    const quick = fakeLabs(1, 1);
    for (let index = 0; index < 2; index++) quick.labs.measure('one', quick.run);
    assert.deepEqual(quick.limits, [FULL, 20]);
    const slow = fakeLabs(50, HUNG, 1);
    for (let index = 0; index < 2; index++) slow.labs.measure('one', slow.run);
    assert.deepEqual(slow.limits, [FULL, 150, 150], 'as long as a slow host needs');
  });

  it('hide no failure of another kind', () => {
    const { labs } = fakeLabs();
    const broken = () => {
      throw new Error('bench/network.mjs ended with status 1');
    };
    assert.throws(() => labs.measure('one', broken), /status 1/);
    assert.deepEqual([labs.started, labs.hung, labs.broke], [1, 0, 0]);
  });

  it('are told of in the tables that they measured', () => {
    const measured = { rows: {}, absent: [], clock: 'by the clock of the lab' };
    for (const table of [diskTable, networkTable]) {
      assert.ok(!table(measured).join('\n').includes('hung'));
      const text = table({ ...measured, labs: { started: 23, hung: 3, broke: 1, dead: 2 } }).join('\n');
      assert.match(text, SAID);
    }
    const one = { min: 1, median: 1, max: 1, runs: 5 };
    const boots = { Flotilla: one, 'QEMU microvm': one, 'QEMU q35': one };
    const micro = { 'Flotilla micro': one, 'QEMU microvm': one, 'QEMU microvm, acpi=off': one };
    const machine = { standard: boots, micro, counted: { standard: boots, micro }, memory: { bare: boots, equipped: boots } };
    assert.ok(!hypervisorTable(machine).join('\n').includes('hung'));
    assert.match(hypervisorTable({ ...machine, labs: { started: 23, hung: 3, broke: 1, dead: 2 } }).join('\n'), SAID);
  });
});

describe('a guest that breaks down', () => {
  let folder;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'flotilla-labs-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  it('is known by the words of its kernel', () => {
    const panic = '[    2.9] Linux\n[    3.0] Kernel panic - not syncing: Fatal exception in interrupt\n';
    assert.throws(() => refusePanic(panic), { message: /gave up: \[ {4}3\.0\] Kernel panic - not syncing: Fatal/ });
    assert.throws(() => refusePanic(panic), { how: BROKE });
    refusePanic('reboot: Power down');
  });

  it('is a guest of a job that panicked, whatever its hypervisor ends with', async () => {
    const guest = ['sh', '-c', 'echo bench begin send; echo bench end send; echo "[ 3.0] Kernel panic - not syncing"'];
    await assert.rejects(
      runJobs(guest, ['send', 'receive'], () => ({})),
      { how: BROKE },
    );
    const early = ['sh', '-c', 'echo bench begin send; echo bench end send'];
    await assert.rejects(
      runJobs(early, ['send', 'receive'], () => ({})),
      /ended without receive/,
    );
    await assert.rejects(timeToExit(['sh', '-c', 'echo ready; echo Kernel panic'], 'ready'), { how: BROKE });
  });

  it('is told apart from a process that waits for ever', async () => {
    await assert.rejects(timeToExit(['sh', '-c', 'echo ready; exec sleep 60'], 'ready', 0, 50), { how: HUNG });
  });

  it('is written in place of its figures, and no other failure is', async () => {
    const file = join(folder, 'result.json');
    await writeResult(file, async () => ({ rows: {} }));
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { rows: {} });
    await writeResult(file, () => Promise.reject(new Lost(BROKE, 'gave up')));
    assert.deepEqual(JSON.parse(readFileSync(file, 'utf8')), { lost: BROKE });
    await assert.rejects(
      writeResult(file, () => Promise.reject(new Error('other'))),
      /other/,
    );
  });
});

describe('a run in a lab that counts instructions', () => {
  let folder;
  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'flotilla-labs-'))));
  afterEach(() => rmSync(folder, { recursive: true }));

  /** A command in place of a lab: its words are `--writable`, the folder of the result, and the measurement. */
  function runWith(script) {
    const labs = new CountingLabs(FULL, () => {});
    const start = (limit) => ['sh', '-c', `limit=${limit}; mark=${folder}/mark; ${script}`, 'lab'];
    const measure = (file) => ['bench/network.mjs', file];
    return { labs, measured: () => countedRun(labs, 'one', measure, '{}', start) };
  }

  it('is made again after a lab whose time was over, one that broke its guest, and one that gave no sign of life', () => {
    const { labs, measured } = runWith(`
      echo x >> $mark
      case $(wc -l < $mark) in
        1) exit 124;;
        2) echo '{"lost":"${BROKE}"}' > "$2/result.json";;
        3) exit 125;;
        *) echo "{\\"limit\\":$limit,\\"words\\":\\"$3 $4 $5\\"}" > "$2/result.json";;
      esac`);
    assert.deepEqual(measured(), { limit: FULL, words: '-- node bench/network.mjs' });
    assert.deepEqual([labs.started, labs.hung, labs.broke, labs.dead], [4, 1, 1, 1]);
  });

  it('fails at once when the measurement does', () => {
    const { labs, measured } = runWith('exit 1');
    assert.throws(measured, { message: /^bench\/network\.mjs ended with status 1$/ });
    assert.equal(labs.started, 1);
    assert.deepEqual(lab(7, '--clock', 'instructions').slice(-4), ['--timeout', '7', '--clock', 'instructions']);
  });
});

describe('candidates in turn, each in a lab of its own', () => {
  const one = (median) => ({ min: median, median, max: median, runs: 1 });

  it('are put together to the rows of one run', () => {
    const order = [];
    const measured = inRounds(['a', 'b'], 3, (name, round) => {
      order.push(`${name}${round}`);
      return { rows: { speed: { [name]: one(10 * round + order.length) } }, absent: [] };
    });
    assert.deepEqual(order, ['a1', 'b1', 'a2', 'b2', 'a3', 'b3']);
    assert.deepEqual(measured, {
      rows: { speed: { a: { min: 11, median: 23, max: 35, runs: 3 }, b: { min: 12, median: 24, max: 36, runs: 3 } } },
      absent: [],
    });
  });

  it('are not asked again for what the build cannot do', () => {
    const order = [];
    const measured = inRounds(['a', 'own'], 2, (name) => {
      order.push(name);
      return name === 'own' ? { rows: {}, absent: ['own'] } : { rows: { speed: { a: one(1) } }, absent: ['own'] };
    });
    assert.deepEqual(order, ['a', 'a']);
    assert.deepEqual(measured.absent, ['own']);
  });

  it('are one run each, or no one would know how many the median is of', () => {
    assert.throws(() => inRounds(['a'], 1, () => ({ rows: { speed: { a: { ...one(1), runs: 2 } } } })), /run 2 times/);
  });

  it('are those that were named', () => {
    assert.deepEqual(chosen({ a: 1, b: 2 }, ['b']), { b: 2 });
    assert.deepEqual(chosen({ a: 1, b: 2 }, []), { a: 1, b: 2 });
  });
});
