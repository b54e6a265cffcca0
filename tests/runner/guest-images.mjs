// SPDX-License-Identifier: Apache-2.0
// The images of the guest tier. On a cold machine they take minutes of all processors, and much else that comes before that
// tier waits for the network: so they are begun early, on time that nothing else wants.
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { logDirectory } from '../../scripts/lib/cache.mjs';

const BUILD = ['node', 'guest/build.mjs'];

/** Begins to build them in the background; a program that wants them meanwhile waits for this one, by the lock of the cache. */
export function beginGuestImages() {
  mkdirSync(logDirectory(), { recursive: true });
  const path = join(logDirectory(), 'guest-images.log');
  console.log(`Guest images are being built in the background (whole output: ${path})`);
  const log = openSync(path, 'w');
  // Of the idle class: it takes nothing from a test that measures time. A group of its own, so that all of it can be ended.
  const child = spawn('chrt', ['--idle', '0', ...BUILD], { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  child.on('error', () => undefined); // The guest tier builds them itself, and then says what is wrong.
  yieldAsSession(child.pid);
  child.unref();
  const end = () => endGroup(child);
  process.once('exit', end);
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      end();
      process.kill(process.pid, signal);
    });
  }
}

/** Builds what is missing; gives what guest/build.mjs prints. */
export function guestImages() {
  const [program, ...args] = BUILD;
  const built = spawnSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  if (built.status !== 0) throw new Error('The guest images could not be built: see above');
  return built.stdout;
}

/**
 * Under autogroup scheduling (sched(7)) each session gets an equal share, whatever the class of its processes: so the session, too,
 * is made the nicest.
 */
function yieldAsSession(pid) {
  const file = `/proc/${pid}/autogroup`;
  try {
    if (pid !== undefined && existsSync(file)) writeFileSync(file, '19');
  } catch (error) {
    if (error.code !== 'ENOENT') throw error; // It has ended meanwhile.
  }
}

function endGroup(child) {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid);
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}
