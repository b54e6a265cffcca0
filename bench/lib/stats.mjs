// SPDX-License-Identifier: Apache-2.0

/** Least, median and greatest of some numbers. */
export function summary(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { min: sorted[0], median, max: sorted[sorted.length - 1], runs: sorted.length };
}

/** Runs each candidate `runs` times in turn (A B C A B C …) after one round that does not count. */
export async function alternate(candidates, runs, note = () => {}) {
  const taken = Object.fromEntries(Object.keys(candidates).map((name) => [name, []]));
  for (let round = 0; round <= runs; round++) {
    for (const [name, measure] of Object.entries(candidates)) {
      const value = await measure();
      note(`${name}: ${value.toFixed(1)}${round === 0 ? ' (not counted)' : ''}`);
      if (round > 0) taken[name].push(value);
    }
  }
  return Object.fromEntries(Object.entries(taken).map(([name, values]) => [name, summary(values)]));
}

/**
 * The same for measurements that yield several figures at once: `measure` returns them by row, and so is the result, by candidate
 * in each row. A figure that a candidate never has is left out.
 * @param {number} uncounted rounds before those that count
 */
export async function alternateRows(candidates, runs, note = () => {}, uncounted = 1) {
  const taken = {};
  for (let round = 1 - uncounted; round <= runs; round++) {
    for (const [name, measure] of Object.entries(candidates)) {
      const figures = await measure();
      const text = Object.entries(figures).map(([row, value]) => `${row} ${value.toFixed(1)}`);
      note(`${name}: ${text.join(', ')}${round < 1 ? ' (not counted)' : ''}`);
      if (round < 1) continue;
      for (const [row, value] of Object.entries(figures)) {
        taken[row] ??= {};
        taken[row][name] = [...(taken[row][name] ?? []), value];
      }
    }
  }
  return mapValues(taken, (row) => mapValues(row, summary));
}

function mapValues(object, change) {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));
}
