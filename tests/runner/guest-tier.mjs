// SPDX-License-Identifier: Apache-2.0
// The guest tier: on a host with hardware KVM as it is, elsewhere in labs, one for each suite, as many
// at once as there are processors: an emulated lab has one (docs/notes/lab.md).
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';

import { describeHost, inspectHost } from '../../scripts/setup/index.mjs';
import { coreTests } from './core-tests.mjs';
import { guestImages } from './guest-images.mjs';
import { MOCHA } from './mocha.mjs';

/** Both only end what hangs: a slow host takes a third of them. */
const limitSeconds = 1800;
const testLimitMs = 500_000;
/** Begun first, so that no processor is left without work at the end. */
const long = ['debian', 'boot', 'faults', 'core'];
const labMiB = 8192;
const mocha = [...MOCHA, '--timeout', String(testLimitMs)];

/** On hardware all suites in one go; else each in a lab of its own. */
export function guestTier() {
  const env = { FLOTILLA_GUEST_IMAGES: guestImages(), FLOTILLA_CORE_TESTS: coreTests() };
  const files = suites().map((name) => `tests/guest/dist/${name}.test.js`);
  const host = inspectHost();
  if (host.kvm === 'hardware') return [{ argv: [...mocha, ...files], env, counts: 'mocha' }];
  console.log(`No hardware KVM here, so the guest tier runs in the lab (${describeHost(host)}).`);
  return [
    { argv: [...mocha, 'lab/test/*.test.mjs'], counts: 'mocha' }, // what comes then rests on it
    ...files.map((file) => ({
      argv: (folder) => inLab(folder, [...mocha, file]),
      env,
      counts: 'mocha',
      besides: basename(file, '.test.js'),
    })),
  ];
}

function suites() {
  const names = readdirSync('tests/guest/dist')
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => basename(name, '.test.js'));
  return [...long.filter((name) => names.includes(name)), ...names.filter((name) => !long.includes(name)).sort()];
}

/** The lab sees the host's files; only the folder with the totals is written back. */
function inLab(folder, argv) {
  return [
    'node',
    'lab/lab.mjs',
    '--memory',
    String(labMiB),
    '--timeout',
    String(limitSeconds),
    '--writable',
    folder,
    '--env',
    'FLOTILLA_TEST_TOTALS',
    '--',
    ...argv,
  ];
}
