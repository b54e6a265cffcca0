// SPDX-License-Identifier: Apache-2.0
// One start of the measuring guest (guest/io): its jobs, each with its own figures and what KVM counted meanwhile.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { counted, readCounters } from './exits.mjs';

const limitMs = 300_000;

/**
 * @returns {Promise<Record<string, { text: string, exits: Record<string, number> }>>} by job; `text` is what its program wrote
 */
export async function runJobs([program, ...args], look = readCounters) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  const timer = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const ended = once(child, 'exit');
  const follow = follower(look);
  const other = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (!follow.line(line)) other.push(line);
  }
  const [status, signal] = await ended;
  clearTimeout(timer);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${signal ?? status}: ${said}${other.join('\n')}`);
  if (other.length > 0) console.error(other.map((line) => `    ${line}`).join('\n'));
  return follow.jobs;
}

/** Reads the guest's lines; whatever else is on the console, `line` answers false to. */
export function follower(look) {
  const jobs = {};
  const before = {};
  const line = (text) => {
    const [, what, job, rest] = /^bench (begin|end|result) (\S+) ?(.*)/.exec(text.trim()) ?? [];
    if (what === 'begin') before[job] = look();
    else if (what === 'end') jobs[job] = { text: '', exits: counted(before[job], look()) };
    else if (what === 'result' && job in jobs) jobs[job].text = rest;
    return what !== undefined;
  };
  return { jobs, line };
}
