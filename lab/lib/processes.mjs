// SPDX-License-Identifier: Apache-2.0
// The lab's helper processes: started in groups of their own, so that ^C reaches only us, and bound to our life by
// the kernel (PR_SET_PDEATHSIG), so that not even kill -9 leaves one behind.

import { spawn } from 'node:child_process';
import { openSync, closeSync, existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../scripts/lib/failure.mjs';
import { VIRTIOFSD } from './qemu.mjs';

const SOCKET_DEADLINE_MS = 5_000;
const SOCKET_POLL_MS = 5;

/** @returns {{ child: import('node:child_process').ChildProcess, ended: Promise<string>, kill: () => Promise<void> }} */
export function startBound(program, args, logFile) {
  const log = openSync(logFile, 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const ended = new Promise((resolve) => {
    child.on('error', (error) => resolve(`cannot be started: ${error.message}`));
    child.on('exit', (status, signal) => resolve(`ended with ${signal ?? `status ${status}`}`));
  });
  const kill = async () => {
    child.kill('SIGKILL');
    await ended;
  };
  return { child, ended, kill };
}

/** Serves `directory` to the lab over a vhost-user socket; ready when this resolves. */
export async function shareDirectory({ directory, socket, cache, logFile }) {
  const server = startBound(
    VIRTIOFSD,
    [`--socket-path=${socket}`, '-o', `source=${directory}`, '-o', `cache=${cache}`, '-o', 'sandbox=chroot', '--thread-pool-size=4'],
    logFile,
  );
  let ended;
  void server.ended.then((how) => {
    ended = how;
  });
  const deadline = Date.now() + SOCKET_DEADLINE_MS;
  while (!existsSync(socket)) {
    if (ended !== undefined || Date.now() > deadline) {
      await server.kill();
      throw new Failure(
        `virtiofsd for ${directory} ${ended ?? 'did not open its socket'}`,
        'It needs root and the Debian package qemu-system-common.',
      );
    }
    await sleep(SOCKET_POLL_MS);
  }
  return server;
}
