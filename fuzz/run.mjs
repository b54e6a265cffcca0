#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// npm run fuzz -- [--seconds N] [--target T]: runs every target for N seconds each, the others too when one has failed.
// What crashed a target stays in fuzz/artifacts/<target>/.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { Failure, runMain } from '../scripts/lib/failure.mjs';
import { writeSeeds } from './seeds.mjs';
import { listTargets } from './targets.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const top = dirname(here);
/** An input that takes longer than this is a finding: a device that hangs. */
const limitSeconds = 20;

await runMain('fuzz', () => {
  const { seconds, targets } = readArguments();
  requireCargoFuzz();
  const found = targets.filter((target) => !survives(target, seconds));
  for (const target of found) console.error(`fuzz: ${target} failed${artifactsOf(target)}`);
  console.error(`fuzz: ${targets.length - found.length} of ${targets.length} targets found nothing in ${seconds} s each`);
  return found.length > 0 ? 1 : 0;
});

function readArguments() {
  const { values } = parseArgs({ options: { seconds: { type: 'string', default: '60' }, target: { type: 'string', multiple: true } } });
  const seconds = Number(values.seconds);
  if (!Number.isInteger(seconds) || seconds < 1)
    throw new Failure(`--seconds ${values.seconds} is no time`, 'Give a whole number of seconds, 1 or more');
  const all = listTargets();
  const unknown = values.target?.find((target) => !all.includes(target));
  if (unknown !== undefined) throw new Failure(`There is no target ${unknown}`, `Targets: ${all.join(', ')}`);
  return { seconds, targets: values.target ?? all };
}

function requireCargoFuzz() {
  const answers = (args) => spawnSync('cargo', args, { stdio: 'ignore' }).status === 0;
  if (!answers(['+nightly', '--version'])) {
    throw new Failure('The nightly compiler is missing', 'rustup toolchain install nightly --profile minimal');
  }
  if (!answers(['fuzz', '--version'])) {
    throw new Failure('cargo-fuzz is missing', 'cargo install cargo-fuzz --version 0.13.2 --locked');
  }
}

/** Builds and runs one target; false when it crashed, hung, ran out of memory or could not be built. */
function survives(target, seconds) {
  console.error(`fuzz: ${target}, ${seconds} s`);
  writeSeeds(join(here, 'corpus', target), target);
  const limits = [`-max_total_time=${seconds}`, `-timeout=${limitSeconds}`, '-print_final_stats=1'];
  const { status, error } = spawnSync('cargo', ['+nightly', 'fuzz', 'run', '--fuzz-dir', here, target, '--', ...limits], {
    cwd: top,
    stdio: 'inherit',
  });
  if (error) throw error;
  return status === 0;
}

function artifactsOf(target) {
  const folder = join(here, 'artifacts', target);
  const files = existsSync(folder) ? readdirSync(folder) : [];
  return files.length > 0 ? `, see ${files.map((name) => relative(top, join(folder, name))).join(' ')}` : ' before it ran, see above';
}
