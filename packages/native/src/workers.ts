// SPDX-License-Identifier: Apache-2.0
import { settled } from './errors.js';
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

/** Removes what a dead worker left. A live one is `worker.busy`, an absent directory no error. */
export async function removeStale(runtimeDirectory: string, id: string): Promise<void> {
  const directory = requireText(runtimeDirectory, '$.runtimeDirectory');
  const machine = requireText(id, '$.id');
  return settled(() => native.removeStale(directory, machine));
}
