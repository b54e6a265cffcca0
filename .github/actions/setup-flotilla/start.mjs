#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// Second step: a running orchestrator, its address and key in the environment of the steps that follow.
import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { asRoot, modules, readAsRoot, report, temporary } from './host.mjs';

const dataDir = process.env.FLOTILLA_DATA_DIR ?? '/var/lib/flotilla';
const limitMs = 60_000;

mkdirSync(temporary, { recursive: true });
const logFile = join(temporary, 'flotilla.log');
const log = openSync(logFile, 'w');
const cli = join(modules, '@flotilla', 'cli', 'dist', 'src', 'main.js');
const child = spawn(...asRoot(process.execPath, [cli, 'up', '--data-dir', dataDir]), { detached: true, stdio: ['ignore', log, log] });
child.unref();

const url = await listening();
// The data directory belongs to root, as the orchestrator does.
const key = readAsRoot(join(dataDir, 'admin.key')).trim();
console.log(`::add-mask::${key}`);
report('url', 'FLOTILLA_URL', url);
report('api-key', 'FLOTILLA_API_KEY', key);
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
