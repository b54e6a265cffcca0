// SPDX-License-Identifier: Apache-2.0
import type { Target } from '../../common/event.js';
import type { PoolCapability, PoolKind, PoolPlace, PoolRef } from '../../common/pool.js';

/** Name of the pool every installation has: images are there, and volumes that name no other. */
export const DEFAULT_POOL = 'default';

/** `unavailable`: it is to be started, and the host cannot reach it. */
export const POOL_STATES = ['creating', 'stopped', 'ready', 'unavailable', 'deleting'] as const;
export type PoolState = (typeof POOL_STATES)[number];

export const DESIRED_POOL_STATES = ['started', 'stopped'] as const;
export type DesiredPoolState = (typeof DESIRED_POOL_STATES)[number];

/** Why a pool is not as it was asked to be. */
export interface PoolReason {
  code: string;
  detail: string;
  remedy: string;
}

/** What was last seen of a pool. */
export interface PoolObserved {
  state: PoolState;
  reason?: PoolReason;
  capabilities: PoolCapability[];
  /** Less is free than its guard keeps. */
  guarded: boolean;
}

/** What can be changed of a pool. */
export interface PoolPolicy {
  /** Whether it is started after a restart of the host. */
  autostart: boolean;
  /** Percent of the capacity that are kept free. */
  guardPercent: number;
  /** How many times its capacity volumes may have together; absent: any number. */
  overcommitRatio?: number;
}

/** Storage for volumes. */
export interface Pool extends PoolPolicy {
  id: string;
  name: string;
  kind: PoolKind;
  /** Absent of the pool that every installation has, whose place the host knows. */
  config?: PoolPlace['config'];
  /** Grows with each change of what was asked for; the ETag. */
  generation: number;
  desired: DesiredPoolState;
  observed: PoolObserved;
  createdAt: string;
  updatedAt: string;
}

/** How the host is told of a pool; absent of the one that every installation has. */
export function refOf({ id, kind, config, generation, guardPercent }: Pool): PoolRef | undefined {
  // They were stored together.
  return config === undefined ? undefined : { ...({ kind, config } as PoolPlace), id, generation, guardPercent };
}

export function poolTarget({ id, name }: Pool): Target {
  return { kind: 'pool', id, name };
}
