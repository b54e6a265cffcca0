// SPDX-License-Identifier: Apache-2.0
// The exit status of the runner, with tiers that are a line of JavaScript.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const main = new URL('main.mjs', import.meta.url).href;

describe('The runner of the tests', function () {
  this.timeout(30_000);

  /** Runs one tier whose command counts these tests and ends with this status. */
  function run(counted, { status = 0, strict = false, args = [] } = {}) {
    const cache = mkdtempSync(join(tmpdir(), 'flotilla-runner-'));
    const line = JSON.stringify(counted ?? null);
    const command = `${counted ? `require('fs').writeFileSync(process.env.FLOTILLA_TEST_TOTALS, ${JSON.stringify(line)});` : ''}process.exit(${status})`;
    const tier = `{ name: 'stub', what: '', commands: () => [{ argv: [process.execPath, '-e', ${JSON.stringify(command)}], counts: 'mocha' }] }`;
    const program = `import { main } from '${main}'; process.exitCode = await main([${tier}], ${JSON.stringify(['--no-setup', ...args])});`;
    const { REQUIRE_KVM: _outer, ...env } = process.env;
    try {
      const options = { encoding: 'utf8', env: { ...env, XDG_CACHE_HOME: cache, ...(strict ? { REQUIRE_KVM: '1' } : {}) } };
      const done = spawnSync(process.execPath, ['--input-type=module', '--eval', program], options);
      return { status: done.status, last: done.stdout.split('\n').at(-2), output: done.stdout, said: done.stderr };
    } finally {
      rmSync(cache, { recursive: true, force: true });
    }
  }
  const passed = { passed: 1, failed: 0, skipped: 0 };

  it('ends with 0 when what ran passed, its last line the totals', () => {
    const { status, last } = run(passed, { strict: true });
    assert.deepEqual([status, last], [0, '1 passed, 0 failed, 0 skipped']);
  });

  it('says at the end how long each tier, the set-up and all took, before the line of the totals', () => {
    const { output } = run(passed);
    assert.match(output, /\nstub +1 +0 +0 +\d+ s\nset-up +\d+ s\ntotal +\d+ s\n\n1 passed, 0 failed, 0 skipped\n$/);
    assert.equal(run(undefined).output.endsWith('\n\n0 passed, 0 failed, 0 skipped\n'), true, 'also when nothing ran');
  });

  it('ends with 1 when a test failed, and when a command fails without one', () => {
    assert.equal(run({ passed: 1, failed: 1, skipped: 0 }, { status: 1 }).status, 1);
    assert.equal(run(passed, { status: 1 }).status, 1);
  });

  it('names what failed after all other output, just before the table', () => {
    const failed = run({ passed: 1, failed: 1, skipped: 0, failures: ['a guest boots: no prompt'] }, { status: 1 });
    assert.match(failed.output, /\nFailed:\n {2}stub: a guest boots: no prompt\n\ntier /);
    assert.match(run(passed, { status: 1 }).output, /\nFailed:\n {2}stub: .* ended with status 1 before its tests did: see .*\n\ntier /);
    assert.doesNotMatch(run(passed).output, /Failed:/);
  });

  it('ends with 1 when a tier ran no test where KVM is required, skips only included, and says so elsewhere too', () => {
    for (const counted of [undefined, { passed: 0, failed: 0, skipped: 3 }]) {
      assert.equal(run(counted, { strict: true }).status, 1);
      const lenient = run(counted);
      assert.equal(lenient.status, 0);
      assert.match(lenient.said, /Tier stub ran no test/);
    }
  });

  it('ends with 2 for a tier that is none', () => {
    assert.equal(run(passed, { args: ['--tier', 'other'] }).status, 2);
  });
});
