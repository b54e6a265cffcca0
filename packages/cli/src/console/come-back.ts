// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { ApiError, type Console, ConnectionError, type ConsoleOptions, FlotillaError, type MachineHandle } from '@flotilla/sdk';
import { say } from '../output/render.js';
import { patienceSeconds } from '../patience.js';

const pauseMs = 500;

/**
 * The console of `machine` again after its connection ended, from `options.offset` on. Undefined when the machine has ended too, or
 * `signal` fires; an error when the orchestrator does not come back in time.
 */
export async function comeBack(machine: MachineHandle, options: ConsoleOptions, signal: AbortSignal): Promise<Console | undefined> {
  const patience = patienceSeconds();
  const deadline = Date.now() + patience * 1000;
  let away = false;
  for (;;) {
    let reached = false;
    try {
      const now = await machine.refresh({ signal, maxRetries: 0 });
      reached = true;
      if (!isSameRun(machine, now)) return undefined;
      const console = await now.console({ ...options, signal });
      if (away) say('Connected again.');
      return console;
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!mayPass(error)) throw error;
      if (Date.now() > deadline) throw isOwnPlace(error) ? error : notBack(patience, error);
      // A machine that has just ended is still shown as running for a moment, but has no console.
      const lost = !reached || error instanceof ApiError;
      if (lost && !away) say(`\nThe connection is lost. Trying again for ${patience} s; ^] leaves the console.`);
      away ||= lost;
    }
    await sleep(pauseMs, undefined, { signal }).catch(() => undefined);
  }
}

function notBack(patience: number, cause: unknown): ConnectionError {
  return new ConnectionError(`The orchestrator did not come back within ${patience} s. The machine may go on without it`, {
    code: 'connection.lost',
    remedy: 'Start it with `flotilla up` and attach again with --from and the offset above: nothing is lost while the console holds it',
    cause,
  });
}

/** Whether it has run all the time since it was attached to. */
function isSameRun(before: MachineHandle, now: MachineHandle): boolean {
  if (['stopped', 'failed', 'deleting'].includes(now.state)) return false;
  return before.data.observed.startedAt === now.data.observed.startedAt;
}

/** What our own old connection still takes while the orchestrator has not missed it. */
const ownPlaces: readonly string[] = ['console.writer_taken', 'console.full'];

function isOwnPlace(error: unknown): boolean {
  return error instanceof FlotillaError && ownPlaces.includes(error.code);
}

/** An orchestrator that is away, stops or starts, and our own old connection that it has not missed yet. */
function mayPass(error: unknown): boolean {
  if (error instanceof ConnectionError) return error.code !== 'connection.untrusted';
  return (error instanceof ApiError && error.status >= 500) || isOwnPlace(error);
}
