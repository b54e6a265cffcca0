// SPDX-License-Identifier: Apache-2.0
// Measurements that an emulated processor loses (docs/notes/lab.md): it delivers an interrupt twice now and then, or not at all, and a
// guest's kernel gives up, or a process waits for ever. This befalls guests of either hypervisor. It is told apart from all other
// failures, which nobody repeats.
import { writeFileSync } from 'node:fs';

/** How a measurement may end without a figure, for people. */
export const HUNG = 'lab hung';
export const BROKE = 'guest broke down';
/** The lab itself failed: most often it gave no sign of life in time, as one that hangs at its start does. */
export const DEAD = 'lab did not start or died';

export class Lost extends Error {
  /** @param {HUNG | BROKE} how */
  constructor(how, message) {
    super(message);
    this.how = how;
  }
}

/** Refuses what a guest put out if its kernel panicked. */
export function refusePanic(output) {
  const found = /^.*(?:Kernel panic|PANIC: double fault).*$/m.exec(output);
  if (found !== null) throw new Lost(BROKE, `The guest's kernel gave up: ${found[0].trim()}`);
}

/** Runs a measurement and writes what it found; of one that was lost, how. */
export async function writeResult(file, measure) {
  try {
    writeFileSync(file, JSON.stringify(await measure()));
  } catch (error) {
    if (!(error instanceof Lost)) throw error;
    console.error(error.message);
    writeFileSync(file, JSON.stringify({ lost: error.how }));
  }
}
