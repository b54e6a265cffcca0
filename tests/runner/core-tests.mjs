// SPDX-License-Identifier: Apache-2.0
// The Rust core's tests as programs, for suites that run them where cargo should not build: in the lab.
import { spawnSync } from 'node:child_process';

/** What each program is called here, and its crate and target in cargo's words. */
const programs = {
  linux: ['flotilla-hypervisor', 'linux'],
  kvm: ['flotilla-hypervisor', 'kvm'],
  machine: ['flotilla-vmm', 'flotilla_vmm'],
  hostile: ['flotilla-worker', 'hostile'],
};

/**
 * Builds them and gives their paths as the JSON that `tests/guest/core.test.ts` takes from `FLOTILLA_CORE_TESTS`. The whole
 * workspace is asked for, as in the unit tier, which has built all of it: a crate by itself has other features of the
 * libraries, so cargo would compile them all again.
 */
export function coreTests() {
  const argv = ['test', '--workspace', '--locked', '--no-run', '--message-format', 'json-render-diagnostics'];
  const built = spawnSync('cargo', argv, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'inherit'] });
  if (built.status !== 0) throw new Error(`cargo ${argv.join(' ')} failed: see above`);
  const messages = built.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return JSON.stringify(Object.fromEntries(Object.entries(programs).map(([name, words]) => [name, program(messages, words)])));
}

function program(messages, [crate, name]) {
  const isIt = ({ package_id: id, target, profile, executable }) =>
    typeof executable === 'string' && profile.test && id.includes(`#${crate}@`) && target.name === name;
  const found = messages.find(isIt);
  if (found === undefined) throw new Error(`cargo built no test program ${name} of ${crate}`);
  return found.executable;
}

// By hand: FLOTILLA_CORE_TESTS="$(node tests/runner/core-tests.mjs)"
if (process.argv[1] === import.meta.filename) console.log(coreTests());
