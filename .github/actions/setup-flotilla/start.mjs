#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Second step: a running orchestrator, its address and key in the environment of the steps that follow.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { report } from './host.mjs';

const dataDir = process.env.FLOTILLA_DATA_DIR ?? '/var/lib/flotilla';
const limitMs = 60_000;

const cli = cliPath();
const asRoot = process.getuid?.() === 0 ? [] : ['sudo', '--non-interactive', '--preserve-env'];
const [program, ...args] = [...asRoot, process.execPath, cli, 'up', '--data-dir', dataDir];
const logFolder = process.env.RUNNER_TEMP ?? '/tmp';
mkdirSync(logFolder, { recursive: true });
const logFile = join(logFolder, 'flotilla.log');
const log = openSync(logFile, 'w');
const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log] });
child.unref();

const url = await listening();
const key = readKey();
console.log(`::add-mask::${key}`);
for (const [name, value] of [
  ['url', url],
  ['api-key', key],
])
  report('GITHUB_OUTPUT', name, value);
for (const [name, value] of [
  ['FLOTILLA_URL', url],
  ['FLOTILLA_API_KEY', key],
])
  report('GITHUB_ENV', name, value);
console.log(`Flotilla listens on ${url}; its log is ${logFile}.`);

/** Waits for the line that the orchestrator prints when it listens. */
async function listening() {
  const deadline = Date.now() + limitMs;
  for (;;) {
    const line = /listening on (http:\S+)\n/.exec(readFileSync(logFile, 'utf8'));
    if (line?.[1] !== undefined) return line[1];
    if (child.exitCode !== null || Date.now() > deadline) {
      throw new Error(`The orchestrator did not start within ${limitMs / 1000} s:\n${readFileSync(logFile, 'utf8')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function readKey() {
  return readFileSync(join(dataDir, 'admin.key'), 'utf8').trim();
}

function cliPath() {
  if (process.env.FLOTILLA_VERSION === 'workspace') {
    const top = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
    return join(top, 'packages', 'cli', 'dist', 'src', 'main.js');
  }
  return join(process.env.RUNNER_TEMP ?? '/tmp', 'flotilla', 'node_modules', '@flotilla', 'cli', 'dist', 'src', 'main.js');
}
