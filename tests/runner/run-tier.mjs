// SPDX-License-Identifier: Apache-2.0
// Runs the commands of one tier, shows their output as it comes, and counts their tests.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { countCargo, countMocha, sum } from './totals.mjs';

/** Lines of cargo's output that say something; the log file has them all. */
const telling = /^(\s*Running |\s*Doc-tests |test result|test .* FAILED|---- |failures:|SKIPPED:|error|warning: unused|thread '|assertion|\s+left:|\s+right:)/;

export async function runTier(tier) {
  console.log(`\n== ${tier.name}: ${tier.what}`);
  const started = performance.now();
  const counts = [];
  let broken = false;
  let note;
  try {
    for (const command of await tier.commands()) {
      const count = await runUntilSteady(tier.name, command);
      broken ||= count.broken;
      counts.push(count);
    }
  } catch (error) {
    broken = true;
    note = error.message;
    console.error(note);
  }
  return { name: tier.name, ...sum(counts), broken, note, seconds: (performance.now() - started) / 1000 };
}

/**
 * A command may ask for more than one attempt, and must then say why: only the unsteady guests of the lab are reason enough
 * (docs/notes/lab.md). What is repeated is said, and the last attempt is what counts.
 */
async function runUntilSteady(tierName, command) {
  for (let attempt = 1; ; attempt++) {
    const count = await runCommand(tierName, command);
    if ((count.failed === 0 && !count.broken) || attempt >= (command.attempts ?? 1)) return count;
    console.log(`REPEATED (${attempt} of ${command.attempts - 1}): ${command.why}`);
  }
}

async function runCommand(tierName, command) {
  const folder = mkdtempSync(join(tmpdir(), 'flotilla-test-'));
  const totals = join(folder, 'totals');
  const log = join(logFolder(), `${tierName}.log`);
  try {
    const argv = typeof command.argv === 'function' ? command.argv(folder) : command.argv;
    console.log(`-- ${argv.join(' ')}   (whole output: ${log})`);
    const env = { ...process.env, ...command.env, FLOTILLA_TEST_TOTALS: totals };
    const status = await stream({ ...command, argv }, env, join(folder, 'output'), log);
    const counted = command.counts === 'cargo' ? countCargo(readFileSync(join(folder, 'output'), 'utf8')) : countMocha(totals);
    for (const why of counted.skips) console.log(`SKIPPED: ${why}`);
    // A command that fails without a failed test did not get as far as its tests.
    const broken = status !== 0 && counted.failed === 0;
    if (broken) console.error(`${argv[0]} ended with status ${status} before its tests did: see ${log}.`);
    return { ...counted, broken };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function stream(command, env, outputFile, logFile) {
  const [program, ...args] = command.argv;
  const output = createWriteStream(outputFile);
  const log = createWriteStream(logFile, { flags: 'a' });
  const quiet = command.counts === 'cargo';
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let rest = '';
    const take = (chunk) => {
      output.write(chunk);
      log.write(chunk);
      if (!quiet) return void process.stdout.write(chunk);
      const lines = (rest + chunk.toString('utf8')).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) if (telling.test(line)) console.log(line);
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', (status, signal) => {
      log.end();
      output.end(() => resolve(status ?? signal));
    });
  });
}

function logFolder() {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '/tmp', '.cache'), 'flotilla', 'logs');
  mkdirSync(folder, { recursive: true });
  return folder;
}
