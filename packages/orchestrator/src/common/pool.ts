// SPDX-License-Identifier: Apache-2.0
// Storage pools: what there is of them, and what each can do. One form from the API to the drivers.

export const POOL_KINDS = ['dir'] as const;
export type PoolKind = (typeof POOL_KINDS)[number];

/**
 * Everything that a driver may be able to do beside making and removing volumes. `linkedClones`: a volume that holds only what differs
 * from its image. `resize`: a volume grows. `reflink`: a full clone takes no space and no time. `snapshots`: a state of a volume is kept.
 */
export const POOL_CAPABILITIES = ['linkedClones', 'resize', 'reflink', 'snapshots'] as const;
export type PoolCapability = (typeof POOL_CAPABILITIES)[number];

/** What the driver of a kind can do where the host and the storage allow it; the host tells what a pool can do. */
export const DRIVERS: Readonly<Record<PoolKind, readonly PoolCapability[]>> = {
  dir: ['linkedClones', 'resize', 'reflink'],
};

/** Files in a directory of the host. */
export interface DirPoolConfig {
  path: string;
}

/** Where a pool is, by its kind. */
export type PoolConfig = DirPoolConfig;

/** Where the host finds a pool, and how much of it is kept free. */
export interface PoolRef {
  id: string;
  kind: PoolKind;
  config: PoolConfig;
  guardPercent: number;
}

/** Most that a guard may keep free, in percent. */
export const MAX_GUARD_PERCENT = 50;

/** Absolute, without `.` and `..`, and not the root. */
export const POOL_PATH = /^(\/(?!\.{1,2}(\/|$))[^/\0\n\r]{1,255}){1,16}$/;

/** Kinds whose drivers can do something, for who asked a pool that cannot. */
export function kindsWith(capability: PoolCapability): PoolKind[] {
  return POOL_KINDS.filter((kind) => DRIVERS[kind].includes(capability));
}
