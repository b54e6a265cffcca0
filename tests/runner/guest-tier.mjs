// SPDX-License-Identifier: Apache-2.0
// The guest tier: on a host with hardware KVM as it is, elsewhere in labs, one for each suite, as many
// at once as there are processors: an emulated lab has one (docs/notes/lab.md).
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { basename } from 'node:path';

import { describeHost, inspectHost } from '../../scripts/setup/index.mjs';
import { coreTests } from './core-tests.mjs';

const limitSeconds = 900;
const labMiB = 8192;
const mocha = ['npx', '--no-install', 'mocha', '--reporter', 'tests/runner/mocha-reporter.cjs', '--timeout', '150000'];

/** On hardware all suites in one go; else each in a lab of its own. */
export function guestTier() {
  const env = { FLOTILLA_GUEST_IMAGES: guestImages(), FLOTILLA_CORE_TESTS: coreTests() };
  const suites = readdirSync('tests/guest/dist')
    .filter((name) => name.endsWith('.test.js'))
    .sort();
  const files = suites.map((name) => `tests/guest/dist/${name}`);
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

function guestImages() {
  const built = spawnSync('node', ['guest/build.mjs'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (built.status !== 0) throw new Error('The guest images could not be built: see above');
  return built.stdout;
}
