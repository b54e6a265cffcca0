// SPDX-License-Identifier: Apache-2.0
import { UsageError } from './failure.js';

/** Mean pause between repeats of the SDK: 100 ms, twice as long each time up to 2 s, each with up to half off. */
const meanPauseSeconds = 1.5;

/** Seconds that a command which watches waits for an orchestrator that has gone away; machines and operations outlive it. */
export function patienceSeconds(): number {
  const text = process.env['FLOTILLA_PATIENCE'] || '60';
  if (!/^\d{1,6}$/.test(text)) throw new UsageError(`FLOTILLA_PATIENCE is "${text}": give whole seconds, such as 60.`);
  return Number(text);
}

/** As many repeats of the SDK as fill that time. */
export function patientRetries(): number {
  return Math.ceil(patienceSeconds() / meanPauseSeconds);
}
