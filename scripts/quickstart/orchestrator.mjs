// SPDX-License-Identifier: Apache-2.0
// The orchestrator that the quickstart talks to, as a process of its own.

import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive } from '../lib/cache.mjs';
import { Failure } from '../lib/failure.mjs';
import { ROOT } from '../setup/workspace.mjs';

const CLI = join(ROOT, 'packages/cli/dist/src/main.js');
const TRUSTED_FETCH = join(ROOT, 'packages/cli/dist/src/local/trusted-fetch.js');
const START_DEADLINE_MS = 90_000;
const POLL_MS = 50;
const STOP_DEADLINE_MS = 30_000;
const ANSWER_DEADLINE_MS = 5000;

/**
 * @param {{ dataDirectory: string, runtimeDirectory: string, listen: string, outlivesUs: boolean }} options
 * @returns {Promise<{ url: string, apiKey: string, fetch: typeof fetch, pid: number, log: string, stop: () => Promise<void> }>} the key
 *   goes through this fetch alone, which gives it to no other user who happens to listen there
 */
export async function startOrchestrator({ dataDirectory, runtimeDirectory, listen, outlivesUs }) {
  const running = await runningIn(dataDirectory);
  if (running !== undefined) return running;
  mkdirSync(dataDirectory, { recursive: true, mode: 0o700 });
  const log = join(dataDirectory, 'orchestrator.log');
  const output = openSync(log, 'w');
  const child = spawn('setpriv', [...(outlivesUs ? [] : ['--pdeathsig', 'TERM']), '--', process.execPath, CLI, 'up'], {
    // A group of its own: ^C is for us, who then stop it in order.
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...process.env, FLOTILLA_DATA_DIR: dataDirectory, FLOTILLA_RUNTIME_DIR: runtimeDirectory, FLOTILLA_LISTEN: listen },
  });
  closeSync(output);
  if (outlivesUs) child.unref();
  const url = await listeningUrl(child, log);
  const stop = () => stopChild(child);
  return { url, ...(await access(dataDirectory)), pid: child.pid, log, stop };
}

/** One that runs there already: it is used, and not stopped. A record whose process id is somebody else's by now is none. */
export async function runningIn(dataDirectory) {
  const record = join(dataDirectory, 'orchestrator.json');
  if (!existsSync(record)) return undefined;
  const { pid, url } = JSON.parse(readFileSync(record, 'utf8'));
  if (!isAlive(pid)) return undefined;
  const found = await access(dataDirectory);
  if (!(await answers(url, found.fetch))) return undefined;
  const log = join(dataDirectory, 'orchestrator.log');
  return { url, ...found, pid, log, stop: async () => undefined };
}

/** A stranger who listens where an orchestrator was is no answer, and nothing to start another beside. */
async function answers(url, fetch) {
  try {
    await fetch(url, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
    return true;
  } catch (error) {
    if (error.code === 'connection.untrusted') throw new Failure(error.message, error.remedy, { cause: error });
    return false;
  }
}

/** The key, and the way by which it may be sent. The CLI has been built by now. */
async function access(dataDirectory) {
  const path = join(dataDirectory, 'admin.key');
  const { trustedFetch } = await import(TRUSTED_FETCH);
  return { apiKey: readFileSync(path, 'utf8').trim(), fetch: trustedFetch(statSync(path).uid) };
}

/** The address from the line that it prints once it listens. */
async function listeningUrl(child, log) {
  let ended;
  child.on('error', (error) => {
    ended = `cannot be started: ${error.message}`;
  });
  child.on('exit', (status, signal) => {
    ended = `ended with ${signal ?? `status ${status}`}`;
  });
  const deadline = Date.now() + START_DEADLINE_MS;
  for (;;) {
    const text = readFileSync(log, 'utf8');
    const url = /listening on (http:[^\s"]+)/.exec(text)?.[1];
    if (url !== undefined) return url;
    if (Date.now() > deadline) ended ??= `did not listen within ${START_DEADLINE_MS / 1000} s`;
    if (ended !== undefined) {
      await stopChild(child);
      throw new Failure(`The orchestrator ${ended}. It said:\n${text.slice(-3000)}`);
    }
    await sleep(POLL_MS);
  }
}

async function stopChild(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE_MS);
  await ended;
  clearTimeout(timer);
}

export function removeDirectories(...directories) {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
}
