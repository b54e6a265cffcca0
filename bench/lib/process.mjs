// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import { HUNG, Lost, refusePanic } from './lost.mjs';

const limitMs = 120_000;

/**
 * Milliseconds from the start of a process to its end. It must end with status `expected`, in time, and after its output held `text`: a
 * QEMU whose guest panicked early ends with 0 as well, and sooner.
 */
export async function timeToExit([program, ...args], text, expected = 0, limit = limitMs) {
  const began = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [seen, said, milliseconds] = ['', '', 0];
  child.stdout.on('data', (chunk) => (seen += chunk));
  child.stderr.on('data', (chunk) => (said += chunk));
  child.once('exit', () => (milliseconds = performance.now() - began));
  let late = false;
  const timer = setTimeout(() => (late = child.kill('SIGKILL')), limit);
  // Not its exit: the last of the output may still be on its way.
  const [status, signal] = await once(child, 'close');
  clearTimeout(timer);
  refusePanic(seen);
  if (late) throw new Lost(HUNG, `${program} ${args.join(' ')} did not end in ${limit / 1000} s: ${said}${seen.slice(-2000)}`);
  if (status !== expected) throw new Error(`${program} ${args.join(' ')} ended with ${signal ?? status}, not ${expected}: ${said}`);
  if (!seen.includes(text)) throw new Error(`${program} ${args.join(' ')} ended without ${JSON.stringify(text)}: ${seen.slice(-2000)}`);
  return milliseconds;
}

/** Starts a process and waits until its standard output holds `text`. The caller ends it with `stop`. */
export async function startUntil([program, ...args], text, options = {}) {
  const began = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], ...options });
  let seen = '';
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${program} did not print ${text}: ${seen}`)), limitMs);
    child.once('exit', (status) => reject(new Error(`${program} ended with ${status}: ${seen}`)));
    child.stdout.on('data', (chunk) => {
      seen += chunk;
      if (!seen.includes(text)) return;
      clearTimeout(timer);
      resolve();
    });
  }).catch((error) => {
    child.kill('SIGKILL');
    throw error;
  });
  const milliseconds = performance.now() - began;
  return { pid: child.pid, milliseconds, output: () => seen, stop: (signal = 'SIGKILL') => stop(child, signal) };
}

async function stop(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  await once(child, 'exit');
}

/**
 * KiB of resident memory beside the guest's own: every mapping of the process, its code included, but for the largest
 * one, which is the guest's RAM.
 */
export function memoryBesideGuest(pid, guestKiB) {
  let beside = 0;
  let guest = 0;
  for (const mapping of readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const size = Number(/^Size:\s+(\d+)/m.exec(mapping)?.[1] ?? 0);
    const resident = Number(/^Rss:\s+(\d+)/m.exec(mapping)?.[1] ?? 0);
    if (size >= guestKiB) guest += 1;
    else beside += resident;
  }
  if (guest !== 1) throw new Error(`Found ${guest} mappings of the size of guest memory, expected one`);
  return beside;
}
