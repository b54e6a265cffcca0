// SPDX-License-Identifier: Apache-2.0
import type { Executor } from '../../database/database.js';
import type { VolumeHolder } from '../../host-agent/host-agent.js';
import type { Volume } from './volume.js';

/** Knows which disk of which machine a volume is. */
export abstract class VolumeHolders {
  abstract holderOf(volume: Volume): Promise<VolumeHolder | undefined>;
  /** Refuses a size with which that machine would not start any more. */
  abstract requireSize(volume: Volume, sizeBytes: number): Promise<void>;
  /** Fails unless the machine that has it is stopped, and nothing is being done to it. */
  abstract requireAtRest(volume: Volume, machineId: string, field: string | undefined, db: Executor): Promise<void>;
  /** Name of a machine, for a person. */
  abstract nameOf(machineId: string, db: Executor): Promise<string>;
}
