// SPDX-License-Identifier: Apache-2.0
// A measurement as a process of its own: here, in a lab, or in a lab that counts instructions.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { STATUS_LAB_FAILED, STATUS_TIMED_OUT } from '../../lab/lib/options.mjs';
import { Failure } from '../../scripts/lib/failure.mjs';
import { DEAD, HUNG } from './lost.mjs';
import { top } from './places.mjs';

/** The command that runs another one in a lab which may take so many seconds. */
export function lab(seconds, ...options) {
  return ['node', 'lab/lab.mjs', '--memory', '4096', '--timeout', String(seconds), ...options];
}

/** Runs the measurement behind `before`; `measure` tells its command from the file for its result. */
export function run(before, measure, images) {
  const { failed, result } = attempt(before, measure, images);
  if (failed !== undefined) throw new Failure(`${measure('')[0]}: ${failed}`, 'Look whether the host is busy, and run it again');
  return result;
}

/**
 * The same in one of the labs that count instructions.
 * @param {import('./counting-labs.mjs').CountingLabs} labs
 * @param {(limit: number) => string[]} start the command before the measurement's
 */
export function countedRun(labs, what, measure, images, start = (limit) => lab(limit, '--clock', 'instructions')) {
  return labs.measure(what, (limit) => attempt(start(limit), measure, images));
}

/** @returns {{ seconds: number, result: object } | { failed: string }} */
function attempt(before, measure, images) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-bench-'));
  try {
    const resultFile = join(folder, 'result.json');
    const command = ['node', ...measure(resultFile)];
    const [program, ...args] = before.length === 0 ? command : [...before, '--writable', folder, '--', ...command];
    const env = { ...process.env, FLOTILLA_GUEST_IMAGES: images };
    const began = performance.now();
    const { status } = spawnSync(program, args, { cwd: top, env, stdio: ['ignore', 'inherit', 'inherit'] });
    if (status === STATUS_TIMED_OUT) return { failed: HUNG };
    // What it died of stands on standard error. One that can never start is given up after as many as one that always hangs.
    if (status === STATUS_LAB_FAILED && before.length > 0) return { failed: DEAD };
    if (status !== 0) throw new Failure(`${command[1]} ended with status ${status}`);
    const result = JSON.parse(readFileSync(resultFile, 'utf8'));
    return result.lost === undefined ? { seconds: (performance.now() - began) / 1000, result } : { failed: result.lost };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
