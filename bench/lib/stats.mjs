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
