// SPDX-License-Identifier: Apache-2.0
// The Rust core's tests as programs, for suites that run them where cargo should not build: in the lab.
import { spawnSync } from 'node:child_process';

/** What each program is called here, and cargo's words for it. */
const programs = {
  linux: ['-p', 'flotilla-hypervisor', '--test', 'linux'],
  kvm: ['-p', 'flotilla-hypervisor', '--test', 'kvm'],
  machine: ['-p', 'flotilla-vmm', '--lib'],
  hostile: ['-p', 'flotilla-worker', '--test', 'hostile'],
};

/**
 * Builds them, nothing if they are up to date, and gives their paths as the JSON that `tests/guest/core.test.ts` takes
 * from `FLOTILLA_CORE_TESTS`.
 */
export function coreTests() {
  return JSON.stringify(Object.fromEntries(Object.entries(programs).map(([name, words]) => [name, build(words)])));
}

function build(words) {
  const argv = ['test', '--locked', '--no-run', '--message-format', 'json-render-diagnostics', ...words];
  const built = spawnSync('cargo', argv, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] });
  if (built.status !== 0) throw new Error(`cargo ${argv.join(' ')} failed: see above`);
  const messages = built.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  // Beside the test cargo names the binary that it tests.
  const test = messages.find(({ executable, profile }) => typeof executable === 'string' && profile.test);
  if (test === undefined) throw new Error(`cargo ${argv.join(' ')} named no test program`);
  return test.executable;
}

// By hand: FLOTILLA_CORE_TESTS="$(node tests/runner/core-tests.mjs)"
if (process.argv[1] === import.meta.filename) console.log(coreTests());
