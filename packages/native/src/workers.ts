// SPDX-License-Identifier: Apache-2.0
import { settled } from './errors.js';
import type { MachineExit } from './generated/report.js';
import * as native from './native.js';
import { requireText } from './validate.js';

/** Who runs a machine. */
export interface WorkerRecord {
  /** Id of the machine. */
  id: string;
  /** Zero when the run directory was left half made. */
  pid: number;
  /** Clock ticks since the host booted: with `pid` and `bootId` it names one process for ever. */
  startTime: number;
  bootId: string;
  /** Whether that very process lives. */
  alive: boolean;
  isolation: 'process' | 'in-process';
  build: string;
  protocol: number;
}

/** Every run directory below `runtimeDirectory`, sorted by id; none when the directory does not exist. */
export async function listWorkers(runtimeDirectory: string): Promise<WorkerRecord[]> {
  const directory = requireText(runtimeDirectory, '$.runtimeDirectory');
  return settled(() => native.listWorkers(directory));
}

/**
 * How a machine ended, as its worker has left it in the run directory; there from before the event `stopped` until the
 * directory is removed. Undefined while the machine runs, and when its worker was ended by a signal: one that ends by
 * itself leaves word.
 */
export async function readExit(runtimeDirectory: string, id: string): Promise<MachineExit | undefined> {
  const directory = requireText(runtimeDirectory, '$.runtimeDirectory');
  const machine = requireText(id, '$.id');
  return (await settled<MachineExit | null>(() => native.lastExit(directory, machine))) ?? undefined;
}

/**
 * Ends the worker of a machine by what its record says of the process (`SIGKILL`), for one that cannot be adopted. What it leaves
 * stays until `removeStale`. No worker, or one that has ended, is no error; an in-process machine is left alone.
 */
export async function endWorker(runtimeDirectory: string, id: string): Promise<void> {
  const directory = requireText(runtimeDirectory, '$.runtimeDirectory');
  const machine = requireText(id, '$.id');
  return settled(() => native.endWorker(directory, machine));
}

/** Removes what a dead worker left. A live one is `worker.busy`, an absent directory no error. */
export async function removeStale(runtimeDirectory: string, id: string): Promise<void> {
  const directory = requireText(runtimeDirectory, '$.runtimeDirectory');
  const machine = requireText(id, '$.id');
  return settled(() => native.removeStale(directory, machine));
}
