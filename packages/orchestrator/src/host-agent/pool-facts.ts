// SPDX-License-Identifier: Apache-2.0
import type { PoolCapability, PoolRef } from '../common/pool.js';

/** Space of a pool in bytes; `availableBytes` is what new images and volumes may take. */
export interface PoolUsage {
  capacityBytes: number;
  allocatedBytes: number;
  availableBytes: number;
  /** Of a thin pool: percent of its space for data, and for what it knows of them, that are in use. */
  dataPercent?: number;
  metadataPercent?: number;
}

/** Which pool is asked about; absent: the one that every installation has. */
export interface PoolUsageCommand {
  pool?: PoolRef;
}

/** `force`: also when the storage does not answer; what is on it stays there. */
export interface LeavePoolCommand {
  pool: PoolRef;
  force?: boolean;
}

/** What a pool that was opened is like. */
export interface PoolFacts extends PoolUsage {
  capabilities: PoolCapability[];
}
