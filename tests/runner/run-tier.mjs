// SPDX-License-Identifier: Apache-2.0
// Runs the commands of one tier, shows their output as it comes, and counts their tests.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';

import { logDirectory } from '../../scripts/lib/cache.mjs';
import { countCargo, countMocha, formatTotals, inSeconds, secondsSince, sum } from './totals.mjs';

/** Lines of cargo's output that say something; the log file has them all. */
const telling =
  /^(\s*Running |\s*Doc-tests |test result|test .* FAILED|---- |failures:|SKIPPED:|error|warning: unused|thread '|assertion|\s+left:|\s+right:)/;

export async function runTier(tier) {
  console.log(`\n== ${tier.name}: ${tier.what}`);
  const started = performance.now();
  const counts = [];
  let broken = false;
  let note;
  try {
    const commands = await tier.commands();
    for (const command of commands.filter(({ besides }) => besides === undefined)) counts.push(await runCommand(tier.name, command));
    counts.push(
      ...(await inParallel(
        commands.filter(({ besides }) => besides !== undefined),
        (command) => runCommand(tier.name, command),
      )),
    );
    broken = counts.some((count) => count.broken);
  } catch (error) {
    broken = true;
    note = error.message;
    console.error(note);
  }
  const failures = counts.flatMap((count) => count.failures);
  if (note !== undefined) failures.push(note);
  return { name: tier.name, ...sum(counts), failures, broken, note, seconds: secondsSince(started) };
}

/** As many at once as there are processors; the results in the order of the commands. */
async function inParallel(commands, run) {
  const results = [];
  const waiting = commands.map((command, index) => ({ command, index }));
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) results[next.index] = await run(next.command);
  };
  await Promise.all(Array.from({ length: availableParallelism() }, work));
  return results;
}

async function runCommand(tierName, command) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
  const totals = join(folder, 'totals');
  const log = join(logFolder(), `${[tierName, command.besides].filter(Boolean).join('-')}.log`);
  try {
    const argv = typeof command.argv === 'function' ? command.argv(folder) : command.argv;
    console.log(`-- ${argv.join(' ')}   (whole output: ${log})`);
    const env = { ...process.env, ...command.env, FLOTILLA_TEST_TOTALS: totals };
    const started = performance.now();
    const status = await stream({ ...command, argv }, env, join(folder, 'output'), log);
    const counted = command.counts === 'cargo' ? countCargo(readFileSync(join(folder, 'output'), 'utf8')) : countMocha(totals);
    for (const why of counted.skips) console.log(`SKIPPED: ${why}`);
    // A command that fails without a failed test did not get as far as its tests.
    const broken = status !== 0 && counted.failed === 0;
    const failures = counted.failures.map((failure) => (command.besides === undefined ? failure : `[${command.besides}] ${failure}`));
    if (broken) failures.push(`${command.besides ?? argv.join(' ')} ended with status ${status} before its tests did: see ${log}.`);
    if (command.besides !== undefined) console.log(`[${command.besides}] ${formatTotals(counted)} in ${inSeconds(secondsSince(started))}`);
    return { ...counted, failures, broken };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function stream(command, env, outputFile, logFile) {
  const [program, ...args] = command.argv;
  const output = createWriteStream(outputFile);
  const log = createWriteStream(logFile, { flags: 'a' });
  const quiet = command.counts === 'cargo';
  const mark = command.besides === undefined ? '' : `[${command.besides}] `;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let rest = '';
    const take = (chunk) => {
      output.write(chunk);
      log.write(chunk);
      if (!quiet && mark === '') return void process.stdout.write(chunk);
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (!quiet || telling.test(line)) console.log(`${mark}${line}`);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', (status, signal) => {
      if (rest !== '' && !quiet) console.log(`${mark}${rest}`);
      log.end();
      output.end(() => resolve(status ?? signal));
    });
  });
}

function logFolder() {
  const folder = logDirectory();
  mkdirSync(folder, { recursive: true });
  return folder;
}
