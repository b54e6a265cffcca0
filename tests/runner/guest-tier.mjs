// SPDX-License-Identifier: Apache-2.0
// The guest tier: on a host with hardware KVM as it is, elsewhere in one lab for the whole suite.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

import { describeHost, inspectHost } from '../../scripts/setup/index.mjs';

const limitSeconds = 900;
const mocha = ['npx', '--no-install', 'mocha', '--reporter', 'tests/runner/mocha-reporter.cjs', '--timeout', '150000'];

/**
 * Suites that talk long over the serial console, or take very long: in the lab their guests sometimes lock up
 * (docs/notes/lab.md), so they are a tier of their own that `npm test` does not run by itself.
 */
const long = ['boot', 'console', 'faults', 'host-reboot', 'lifecycle', 'turnover'];

/** The suites of every run. */
export function guestTier() {
  return commands((name) => !long.includes(name), true);
}

/** The other suites. */
export function guestLongTier() {
  return commands((name) => long.includes(name), false);
}

function commands(wanted, withLab) {
  const env = { FLOTILLA_GUEST_IMAGES: guestImages() };
  const suites = readdirSync('tests/guest/dist').filter((name) => name.endsWith('.test.js')).map((name) => name.replace('.test.js', ''));
  const files = suites.filter(wanted).sort().map((name) => `tests/guest/dist/${name}.test.js`);
  const host = inspectHost();
  if (host.kvm === 'hardware') return [{ argv: [...mocha, ...files], env, counts: 'mocha' }];
  console.log(`No hardware KVM here, so the guest tier runs in the lab (${describeHost(host)}).`);
  const why = 'guests sometimes lock up in the lab, cause not yet known: docs/notes/lab.md';
  return [
    ...(withLab ? [{ argv: [...mocha, 'lab/test/*.test.mjs'], counts: 'mocha' }] : []), // what comes then rests on it
    ...files.map((file) => ({ argv: (folder) => inLab(folder, [...mocha, file]), env, counts: 'mocha', attempts: 4, why })),
  ];
}

/** The lab sees the host's files; only the folder with the totals is written back. */
function inLab(folder, argv) {
  return ['node', 'lab/lab.mjs', '--memory', '8192', '--cpus', '2', '--timeout', String(limitSeconds), '--writable', folder, '--env', 'FLOTILLA_TEST_TOTALS', '--', ...argv];
}

function guestImages() {
  const built = spawnSync('node', ['guest/build.mjs'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (built.status !== 0) throw new Error('The guest images could not be built: see above');
  return built.stdout;
}
