// SPDX-License-Identifier: Apache-2.0
// One start of the measuring guest (guest/io): its jobs, each with its own figures and what KVM counted meanwhile.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { counted, readCounters } from './exits.mjs';
import { HUNG, Lost, refusePanic } from './lost.mjs';

const limitMs = 300_000;

/**
 * @param {readonly string[]} wanted the jobs; without the figures of one of them there are none
 * @returns {Promise<Record<string, { text: string, exits: Record<string, number> }>>} by job; `text` is what its program wrote
 */
export async function runJobs([program, ...args], wanted, look = readCounters) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk) => (said += chunk));
  let late = false;
  const timer = setTimeout(() => (late = child.kill('SIGKILL')), limitMs);
  const ended = once(child, 'exit');
  const follow = follower(look);
  const other = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (!follow.line(line)) other.push(line);
  }
  const [status, signal] = await ended;
  clearTimeout(timer);
  refusePanic(other.join('\n'));
  if (late) throw new Lost(HUNG, `${program} ${args.join(' ')} did not end in ${limitMs / 1000} s: ${said}${other.join('\n')}`);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${signal ?? status}: ${said}${other.join('\n')}`);
  const missing = wanted.filter((job) => follow.jobs[job] === undefined);
  if (missing.length > 0) throw new Error(`${program} ${args.join(' ')} ended without ${missing.join(', ')}: ${other.join('\n')}`);
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
