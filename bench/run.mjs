#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run bench: measures, and writes the table. See README.md.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Failure, runMain } from '../scripts/lib/failure.mjs';
import { inspectHost } from '../scripts/setup/index.mjs';
import { prepare } from '../tests/runner/prepare.mjs';
import { measureControlPlane, measureCreatePath } from './control-plane.mjs';
import { createMoreMs, verdictOn } from './lib/bars.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { top } from './lib/places.mjs';
import { report } from './lib/report.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    only: { type: 'string' },
    output: { type: 'string', default: join(top, 'docs', 'benchmarks.md') },
  },
});

const say = (line) => console.error(line);

/** Fewer are too few for a median that decides about a bar. */
const LEAST_RUNS = 5;

await runMain('bench', () => {
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1)
    throw new Failure(`--runs ${values.runs} is no number of runs`, 'Give a whole number, 1 or more');
  if (values.only === 'create') return measureCreate(runs);
  if (values.only === undefined && runs >= LEAST_RUNS) return measureAll(runs);
  if (values.only === undefined) throw new Failure(`--runs ${runs} is too few`, `Give ${LEAST_RUNS} or more; --only create takes fewer`);
  throw new Failure(`--only takes "create", not "${values.only}"`, 'Leave it out to measure everything: npm run bench');
});

/** Writes the file whatever it shows; a missed bar is a failure all the same. */
async function measureAll(runs) {
  await prepare();
  const host = inspectHost();
  const controlPlane = await measureControlPlane(runs, say, { kvm: host.kvm !== 'none' && host.kvm !== 'denied' });
  const hypervisor = measureHypervisor(host);
  const machine = { cpu: cpuModel(), kernel: kernelRelease() };
  const results = { host, machine, hypervisor, controlPlane, inLab: host.kvm !== 'hardware' };
  writeFileSync(values.output, report(results));
  console.log(readFileSync(values.output, 'utf8'));
  return verdictOn(results);
}

async function measureCreate(runs) {
  printCreatePath(await measureCreatePath(runs, say));
}

/** For work on the create path: prints, writes no file, builds nothing. */
function printCreatePath(create) {
  for (const [name, { min, median, max }] of Object.entries(create)) {
    console.log(`${name}, ms: ${median.toFixed(1)} (${min.toFixed(1)}–${max.toFixed(1)})`);
  }
  console.log(
    `more, ms: ${createMoreMs(create).toFixed(1)}; load of the host: ${loadavg()
      .map((load) => load.toFixed(1))
      .join(' ')}`,
  );
}

/**
 * Boot time and memory. Without hardware KVM both in the lab; boot also in one whose time is the instructions it carries out.
 * By the host's clock much of a boot in the lab is the work of QEMU's translator, which hardware does not have.
 */
function measureHypervisor(host) {
  const images = guestImages();
  if (host.kvm === 'hardware') return run([], [], images);
  // One that counts instructions takes a minute, or hangs.
  const counted = run(lab(300, '--clock', 'instructions'), ['boot'], images);
  return { ...run(lab(1800), [], images), counted: counted.boot };
}

function lab(seconds, ...options) {
  return ['node', 'lab/lab.mjs', '--memory', '4096', '--timeout', String(seconds), ...options];
}

/** Runs the measurement behind `before`. */
function run(before, what, images) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  try {
    const resultFile = join(folder, 'result.json');
    const measure = ['node', 'bench/hypervisor.mjs', values.runs, resultFile, ...what];
    const [program, ...args] = before.length === 0 ? measure : [...before, '--writable', folder, '--', ...measure];
    const env = { ...process.env, FLOTILLA_GUEST_IMAGES: images };
    const { status } = spawnSync(program, args, { cwd: top, env, stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) throw new Failure(`The hypervisor benchmark ended with status ${status}`);
    return JSON.parse(readFileSync(resultFile, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function guestImages() {
  const built = spawnSync('node', ['guest/build.mjs', 'kernel', 'initramfs'], {
    cwd: top,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (built.status !== 0) throw new Failure('The guest images could not be built');
  return built.stdout;
}
