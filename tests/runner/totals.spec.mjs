// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { countCargo, countMocha, formatFailures, formatTable, formatTotals, sum } from './totals.mjs';

const cargo = `
running 3 tests
SKIPPED: no usable /dev/kvm
test a ... ok
test b ... ok
test c ... FAILED

successes:

---- b stdout ----
SKIPPED: the guest is interpreted
SKIPPED: no kernel is given

successes:
    a
    b

failures:

---- c stdout ----
SKIPPED: the rest

failures:
    c

test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

running 2 tests
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
`;

describe('The totals of a test run', () => {
  it('count a cargo test that says SKIPPED once as skipped, never as passed, and a failed one as failed', () => {
    assert.deepEqual(countCargo(cargo), {
      passed: 1,
      failed: 1,
      skipped: 3,
      skips: ['no usable /dev/kvm', 'the guest is interpreted'],
      failures: ['c'],
    });
  });

  it('come with the seconds of each tier, of the set-up and of all', () => {
    const results = [{ name: 'unit', passed: 12, failed: 0, skipped: 1, seconds: 61.6 }];
    assert.deepEqual(
      formatTable(results, { setUpSeconds: 100.2, totalSeconds: 161.9 })
        .split('\n')
        .map((line) => line.trim().split(/ {2,}/)),
      [
        ['tier', 'passed', 'failed', 'skipped', 'time'],
        ['unit', '12', '0', '1', '62 s'],
        ['set-up', '100 s'],
        ['total', '162 s'],
      ],
    );
  });

  it('name what failed on a line each, however long its message', () => {
    const results = [
      { name: 'unit', failures: ['a'] },
      { name: 'guest', failures: [] },
      { name: 'api', failures: [`b:\n  ${'x'.repeat(2000)}`] },
    ];
    const [head, ...lines] = formatFailures(results).split('\n');
    assert.deepEqual([head, lines[0], lines.length], ['Failed:', '  unit: a', 2]);
    assert.match(lines[1], /^ {2}api: b: x{597}…$/);
    assert.equal(formatFailures([results[1]]), '');
  });

  it('add up the lines of all mocha runs, and are none where none ran', () => {
    const folder = mkdtempSync(join(tmpdir(), 'flotilla-totals-'));
    const file = join(folder, 'totals');
    try {
      assert.equal(formatTotals(countMocha(file)), '0 passed, 0 failed, 0 skipped');
      writeFileSync(file, '{"passed":2,"failed":1,"skipped":0}\n{"passed":3,"failed":0,"skipped":4}\n');
      assert.equal(formatTotals(sum([countMocha(file), { passed: 1, failed: 0, skipped: 0 }])), '6 passed, 1 failed, 4 skipped');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
