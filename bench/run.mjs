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
import { DISK_BARS, NETWORK_BARS, QCOW2_BARS, createMoreMs, missedBars, missedRows, verdictOn } from './lib/bars.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { top } from './lib/places.mjs';
import { report } from './lib/report.mjs';
import { diskTable, networkTable } from './lib/rows.mjs';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '7' },
    only: { type: 'string' },
    seconds: { type: 'string', default: '3' },
    clock: { type: 'string', default: 'instructions' },
    output: { type: 'string', default: join(top, 'docs', 'benchmarks.md') },
  },
});

const say = (line) => console.error(line);

/** Requests of each job where instructions are counted: runs differ little there, so a long one shows no more, and takes minutes. */
const WORK = 2000;

/** Fewer are too few for a median that decides about a bar. */
const LEAST_RUNS = 5;

/** Each prints its part and writes no file. */
const PARTS = {
  create: measureCreate,
  boot: (runs) => printBoot(measureHypervisor(inspectHost(), runs)),
  disk: (runs) => printRows(measurePath('disk', inspectHost(), runs), diskTable, [...DISK_BARS, ...QCOW2_BARS]),
  network: (runs) => printRows(measurePath('network', inspectHost(), runs), networkTable, NETWORK_BARS),
};

await runMain('bench', () => {
  const runs = wholeNumber('--runs', values.runs, 'number of runs');
  wholeNumber('--seconds', values.seconds, 'length of each job');
  if (!['host', 'instructions'].includes(values.clock))
    throw new Failure(`--clock ${values.clock} is no clock of the lab`, 'Give host or instructions');
  const parts = Object.keys(PARTS).join(', ');
  if (values.only === undefined && runs >= LEAST_RUNS) return measureAll(runs);
  if (values.only === undefined) throw new Failure(`--runs ${runs} is too few`, `Give ${LEAST_RUNS} or more; --only takes fewer`);
  if (values.only in PARTS) return PARTS[values.only](runs);
  throw new Failure(`--only takes one of ${parts}, not "${values.only}"`, 'Leave it out to measure everything: npm run bench');
});

function wholeNumber(option, text, what) {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 1) throw new Failure(`${option} ${text} is no ${what}`, 'Give a whole number, 1 or more');
  return number;
}

/** Writes the file whatever it shows; a missed bar is a failure all the same. */
async function measureAll(runs) {
  await prepare();
  const host = inspectHost();
  const controlPlane = await measureControlPlane(runs, say, { kvm: host.kvm !== 'none' && host.kvm !== 'denied' });
  const hypervisor = measureHypervisor(host, runs);
  const [disk, network] = ['disk', 'network'].map((path) => measurePath(path, host, runs));
  const machine = { cpu: cpuModel(), kernel: kernelRelease() };
  const results = { host, machine, hypervisor, controlPlane, disk, network, inLab: host.kvm !== 'hardware' };
  writeFileSync(values.output, report(results));
  console.log(readFileSync(values.output, 'utf8'));
  return verdictOn(missedBars(results));
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

function printBoot(measured) {
  console.log(JSON.stringify(measured, null, 2));
}

/** A missed bar is a failure here too. */
function printRows(measured, table, bars) {
  console.log(table(measured).join('\n'));
  return verdictOn(missedRows(measured.rows, bars));
}

/**
 * Boot time and memory. Without hardware KVM both in the lab; boot also in one whose time is the instructions it carries out.
 * By the host's clock much of a boot in the lab is the work of QEMU's translator, which hardware does not have.
 */
function measureHypervisor(host, runs) {
  const images = guestImages('kernel', 'initramfs');
  const measure = (result, ...what) => ['bench/hypervisor.mjs', String(runs), result, ...what];
  if (host.kvm === 'hardware') return run([], measure, images);
  // One that counts instructions takes a minute, or hangs.
  const count = (part) => run(lab(300, '--clock', 'instructions'), (result) => measure(result, part), images)[part];
  const counted = { standard: count('standard'), micro: count('micro') };
  return { ...run(lab(1800), measure, images), counted };
}

/**
 * `disk` or `network`. A lab that counts instructions may hang after some guests: then the host's clock measures, and the table says so.
 * @returns {{ rows: object, absent: string[], clock: string }}
 */
function measurePath(path, host, runs) {
  const images = guestImages('kernel', 'io');
  const measure = (before, amount) => run(before, (result) => [`bench/${path}.mjs`, String(runs), amount, result], images);
  const bySeconds = `seconds=${values.seconds}`;
  if (host.kvm === 'hardware') return { ...measure([], bySeconds), clock: 'on hardware' };
  if (values.clock === 'instructions') {
    try {
      return { ...measure(lab(2400, '--clock', 'instructions'), `work=${WORK}`), clock: 'by the clock of the lab' };
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      say(`${path}: ${error.message}; measuring by the clock of the host`);
    }
  }
  return { ...measure(lab(5400), bySeconds), clock: 'by the clock of the host' };
}

function lab(seconds, ...options) {
  return ['node', 'lab/lab.mjs', '--memory', '4096', '--timeout', String(seconds), ...options];
}

/** Runs the measurement behind `before`; `measure` tells its command from the file for its result. */
function run(before, measure, images) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  try {
    const resultFile = join(folder, 'result.json');
    const command = ['node', ...measure(resultFile)];
    const [program, ...args] = before.length === 0 ? command : [...before, '--writable', folder, '--', ...command];
    const env = { ...process.env, FLOTILLA_GUEST_IMAGES: images };
    const { status } = spawnSync(program, args, { cwd: top, env, stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) throw new Failure(`${command[1]} ended with status ${status}`);
    return JSON.parse(readFileSync(resultFile, 'utf8'));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function guestImages(...names) {
  const built = spawnSync('node', ['guest/build.mjs', ...names], {
    cwd: top,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (built.status !== 0) throw new Failure('The guest images could not be built');
  return built.stdout;
}
