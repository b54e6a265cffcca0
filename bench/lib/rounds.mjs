// SPDX-License-Identifier: Apache-2.0
// Candidates in turn, each run in a lab of its own: what the labs found is put together here.
import { summary } from './stats.mjs';

/**
 * Measures each candidate `runs` times in turn (A B C A B C …).
 * @param {readonly string[]} names
 * @param {(name: string, round: number) => { rows: Record<string, Record<string, { median: number, runs: number }>>, absent?: readonly string[] }} measure
 *   one run of one candidate
 * @returns {{ rows: object, absent: string[] }} the rows of all runs; candidates that this build cannot be
 */
export function inRounds(names, runs, measure) {
  const taken = {};
  const absent = new Set();
  for (let round = 1; round <= runs; round++) {
    for (const name of names) {
      if (absent.has(name)) continue;
      const found = measure(name, round);
      for (const missing of found.absent ?? []) absent.add(missing);
      for (const [row, values] of Object.entries(found.rows)) {
        taken[row] ??= {};
        add(taken[row], values);
      }
    }
  }
  const rows = Object.entries(taken).map(([row, values]) => [row, summaries(values)]);
  return { rows: Object.fromEntries(rows), absent: [...absent] };
}

function add(taken, values) {
  for (const [name, { median, runs }] of Object.entries(values)) {
    if (runs !== 1) throw new Error(`${name} was run ${runs} times where one run was asked for`);
    taken[name] = [...(taken[name] ?? []), median];
  }
}

function summaries(taken) {
  return Object.fromEntries(Object.entries(taken).map(([name, values]) => [name, summary(values)]));
}
