// SPDX-License-Identifier: Apache-2.0
// Counting: what cargo and mocha ran, summed and printed.
import { existsSync, readFileSync } from 'node:fs';

const none = Object.freeze({ passed: 0, failed: 0, skipped: 0 });

/** Adds counts up. */
export function sum(counts) {
  return counts.reduce(
    (all, one) => ({ passed: all.passed + one.passed, failed: all.failed + one.failed, skipped: all.skipped + one.skipped }),
    none,
  );
}

/**
 * Counts from the output of `cargo test -- --show-output`. A test that cannot run here prints a line that begins with
 * `SKIPPED:`; the harness calls it passed, we call it skipped.
 */
export function countCargo(output) {
  const results = [...output.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm)];
  const counted = sum(results.map(([, passed, failed, ignored]) => ({ passed: +passed, failed: +failed, skipped: +ignored })));
  const skips = skippedTests(output);
  const failures = [...output.matchAll(/^test (.+) \.\.\. FAILED$/gm)].map(([, name]) => name);
  return { passed: counted.passed - skips.length, failed: counted.failed, skipped: counted.skipped + skips.length, skips, failures };
}

/**
 * One reason for each test that skipped. In the captured output of a test, which the harness prints below
 * `---- name stdout ----`, the first reason counts, and none when the test failed; every line outside stands for a test.
 */
function skippedTests(output) {
  const skips = [];
  let section = 'run';
  let counted = false;
  for (const line of output.split('\n')) {
    if (/^(?:successes|failures):$/.test(line)) section = line.slice(0, -1);
    else if (/^(?:test result: |running \d+ test)/.test(line)) section = 'run';
    else if (/^---- .* stdout ----$/.test(line)) counted = false;
    const why = /^SKIPPED: (.*)$/.exec(line)?.[1];
    if (why === undefined || section === 'failures' || (section === 'successes' && counted)) continue;
    skips.push(why);
    counted = true;
  }
  return skips;
}

/** Counts that the mocha reporter wrote, one JSON line for each run. */
export function countMocha(file) {
  if (!existsSync(file)) return { ...none, skips: [], failures: [] };
  const lines = readFileSync(file, 'utf8').trim().split('\n').filter(Boolean);
  const runs = lines.map((line) => JSON.parse(line));
  return { ...sum(runs), skips: [], failures: runs.flatMap(({ failures }) => failures ?? []) };
}

/** A line that machines read: `N passed, N failed, N skipped`. */
export function formatTotals({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed, ${skipped} skipped`;
}

/** What failed, by tier: nobody should have to look for it in the output of an hour. Long messages are cut; the log has them whole. */
export function formatFailures(results) {
  const lines = results.flatMap(({ name, failures }) => failures.map((failure) => `  ${name}: ${shorten(failure)}`));
  return lines.length === 0 ? '' : `Failed:\n${lines.join('\n')}`;
}

function shorten(failure, limit = 600) {
  const line = failure.replace(/\s+/g, ' ');
  return line.length <= limit ? line : `${line.slice(0, limit)}…`;
}

/** One row for each tier, then the times of the set-up and of the whole run. */
export function formatTable(results, { setUpSeconds, totalSeconds }) {
  const rows = results.map((result) => [
    result.name,
    ...[result.passed, result.failed, result.skipped].map(String),
    inSeconds(result.seconds),
  ]);
  const ends = [
    ['set-up', '', '', '', inSeconds(setUpSeconds)],
    ['total', '', '', '', inSeconds(totalSeconds)],
  ];
  const table = [['tier', 'passed', 'failed', 'skipped', 'time'], ...rows, ...ends];
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table
    .map((row) => row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column]))).join('  '))
    .join('\n');
}

/** @param {number} start  of performance.now() */
export function secondsSince(start) {
  return (performance.now() - start) / 1000;
}

export function inSeconds(seconds) {
  return `${seconds.toFixed(0)} s`;
}
