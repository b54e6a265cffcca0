#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run bench: measures, and writes the table. See README.md.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Failure, runMain } from '../scripts/lib/failure.mjs';
import { inspectHost } from '../scripts/setup/index.mjs';
import { prepare } from '../tests/runner/prepare.mjs';
import { measureControlPlane, measureCreatePath } from './control-plane.mjs';
import { DISK_BARS, NETWORK_BARS, QCOW2_BARS, createMoreMs, missedBars, missedRows, verdictOn } from './lib/bars.mjs';
import { MICRO_END, bootCommands, microCommands } from './lib/candidates.mjs';
import { CountingLabs } from './lib/counting-labs.mjs';
import { holesCandidates, networkCandidates, qcow2Candidates, rawCandidates } from './lib/io-candidates.mjs';
import { cpuModel, kernelRelease } from './lib/machine.mjs';
import { top } from './lib/places.mjs';
import { controlPlaneTable, hypervisorTable, report } from './lib/report.mjs';
import { inRounds } from './lib/rounds.mjs';
import { diskTable, networkTable } from './lib/rows.mjs';
import { countedRun, lab, run } from './lib/runs.mjs';

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

/**
 * Requests of each job where instructions are counted: runs differ little there, so a long one shows no more, and takes minutes. A stream of
 * TCP must be long enough that its beginning and a tick of the clock are a small part of it: 62 MiB.
 */
const WORK = { disk: 2000, network: 8000 };

/** By the part of bench/hypervisor.mjs. */
const BOOTS = {
  standard: Object.keys(bootCommands({ kernel: {}, initramfs: {} }, '')),
  micro: Object.keys(microCommands({ kernel: {}, initramfs: {} }, MICRO_END)),
};
const PATHS = {
  disk: Object.keys({ ...rawCandidates({}, '', ''), ...holesCandidates({}, '', ''), ...qcow2Candidates({}, '', {}) }),
  network: Object.keys(networkCandidates({}, '', {})),
};

/** Seconds that one candidate may take in a lab that counts instructions: some three times what it takes on two processors with other work. */
const COUNTED_LIMITS = { boot: 60, disk: 240, network: 90 };

/** Fewer are too few for a median that decides about a bar. */
const LEAST_RUNS = 5;

/** Each prints its part and writes no file. */
const PARTS = {
  create: measureCreate,
  control: async (runs) => console.log(controlPlaneTable(await measureControl(inspectHost(), runs)).join('\n')),
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
  const controlPlane = await measureControl(host, runs);
  const hypervisor = measureHypervisor(host, runs);
  const [disk, network] = ['disk', 'network'].map((path) => measurePath(path, host, runs));
  const machine = { cpu: cpuModel(), kernel: kernelRelease() };
  const results = { host, machine, hypervisor, controlPlane, disk, network, inLab: host.kvm !== 'hardware' };
  writeFileSync(values.output, report(results));
  console.log(readFileSync(values.output, 'utf8'));
  return verdictOn(missedBars(results));
}

function measureControl(host, runs) {
  return measureControlPlane(runs, say, { kvm: host.kvm !== 'none' && host.kvm !== 'denied' });
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
  console.log(hypervisorTable(measured).join('\n'));
}

/** A missed bar is a failure here too. */
function printRows(measured, table, bars) {
  console.log(table(measured).join('\n'));
  return verdictOn(missedRows(measured.rows, bars));
}

/**
 * Boot time and memory. Without hardware KVM both in the lab; boot also in labs whose time is the instructions they carry out.
 * By the host's clock much of a boot in the lab is the work of QEMU's translator, which hardware does not have.
 */
function measureHypervisor(host, runs) {
  const images = guestImages('kernel', 'initramfs');
  const measure = (result) => ['bench/hypervisor.mjs', String(runs), result];
  if (host.kvm === 'hardware') return run([], measure, images);
  if (values.clock === 'host') return run(lab(1800), measure, images);
  const labs = new CountingLabs(COUNTED_LIMITS.boot, say);
  const count = (part) =>
    inRounds(BOOTS[part], runs, (name, round) => {
      const one = (result) => ['bench/hypervisor.mjs', '1', result, part, name];
      const { [part]: boots } = countedRun(labs, `${part} boot, ${name}, round ${round}`, one, images);
      return { rows: { [part]: boots } };
    }).rows;
  const counted = { ...count('standard'), ...count('micro') };
  return { ...run(lab(1800), measure, images), counted, labs };
}

/**
 * `disk` or `network`.
 * @returns {{ rows: object, absent: string[], clock: string, labs?: CountingLabs }}
 */
function measurePath(path, host, runs) {
  const images = guestImages('kernel', 'io');
  const measure = (result) => [`bench/${path}.mjs`, String(runs), `seconds=${values.seconds}`, result];
  if (host.kvm === 'hardware') return { ...run([], measure, images), clock: 'on hardware' };
  if (values.clock === 'host') return { ...run(lab(5400), measure, images), clock: 'by the clock of the host' };
  const labs = new CountingLabs(COUNTED_LIMITS[path], say);
  const measured = inRounds(PATHS[path], runs, (name, round) => {
    const one = (result) => [`bench/${path}.mjs`, '1', `work=${WORK[path]}`, result, name];
    return countedRun(labs, `${path}, ${name}, round ${round}`, one, images);
  });
  return { ...measured, clock: 'by the clock of the lab', labs };
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
