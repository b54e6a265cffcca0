// SPDX-License-Identifier: Apache-2.0
// Storage pools: what there is of them, and what each can do. One form from the API to the drivers.
import type { LvmPoolConfig, LvmThinPoolConfig } from './lvm.js';
import type { NfsPoolConfig } from './nfs.js';

export const POOL_KINDS = ['dir', 'nfs', 'lvm-thin', 'lvm'] as const;
export type PoolKind = (typeof POOL_KINDS)[number];

/** The field of a definition that says where a pool of a kind is. */
export const PLACE_FIELDS = { dir: 'dir', nfs: 'nfs', 'lvm-thin': 'lvmThin', lvm: 'lvm' } as const satisfies Record<PoolKind, string>;

/**
 * Everything that a driver may be able to do beside making and removing volumes. `linkedClones`: a volume that holds only what differs
 * from its image. `resize`: a volume grows. `reflink`: a full clone takes no space and no time. `snapshots`: a state of a volume is kept.
 * `qcow2`: a volume may have that format. `preallocation`: a volume may have all of its space from the start.
 */
export const POOL_CAPABILITIES = ['linkedClones', 'resize', 'reflink', 'snapshots', 'qcow2', 'preallocation'] as const;
export type PoolCapability = (typeof POOL_CAPABILITIES)[number];

/** What the driver of a kind can do where the host and the storage allow it; the host tells what a pool can do. */
export const DRIVERS: Readonly<Record<PoolKind, readonly PoolCapability[]>> = {
  dir: ['linkedClones', 'resize', 'qcow2', 'preallocation', 'reflink'],
  nfs: ['linkedClones', 'resize', 'qcow2', 'preallocation'],
  'lvm-thin': ['resize'],
  lvm: ['resize', 'preallocation'],
};

/** Files in a directory of the host. */
export interface DirPoolConfig {
  path: string;
}

/** Where pools are, by their kinds. */
export interface PoolConfigs {
  dir: DirPoolConfig;
  nfs: NfsPoolConfig;
  'lvm-thin': LvmThinPoolConfig;
  lvm: LvmPoolConfig;
}

/** What a pool is made of, and where it is. */
export type PoolPlace = { [K in PoolKind]: { kind: K; config: PoolConfigs[K] } }[PoolKind];

/** Where the host finds a pool, how much of it is kept free, and how many wishes about it there have been. */
export type PoolRef = PoolPlace & {
  id: string;
  generation: number;
  guardPercent: number;
};

export type PoolRefOf<K extends PoolKind> = Extract<PoolRef, { kind: K }>;

/** Most that a guard may keep free, in percent. */
export const MAX_GUARD_PERCENT = 50;

/** Absolute, without `.` and `..`, and not the root. */
export const POOL_PATH = /^(\/(?!\.{1,2}(\/|$))[^/\0\n\r]{1,255}){1,16}$/;

/** Kinds whose drivers can do something, for who asked a pool that cannot. */
export function kindsWith(capability: PoolCapability): PoolKind[] {
  return POOL_KINDS.filter((kind) => DRIVERS[kind].includes(capability));
}
