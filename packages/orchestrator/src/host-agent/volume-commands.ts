// SPDX-License-Identifier: Apache-2.0
// What the host is told of volumes.
import type { PoolRef } from '../common/pool.js';
import type { CloneKind, Preallocation, VolumeFormat, VolumeStorage } from '../common/volume-storage.js';

/** A volume that another is copied from; nobody writes to it meanwhile. */
export interface VolumeOrigin extends VolumeStorage {
  id: string;
  pool?: PoolRef;
}
export interface EnsureVolumeCommand {
  id: string;
  imageId?: string;
  /** What it is copied from in place of an image. */
  origin?: VolumeOrigin;
  /** How it is made from the image; absent: by a copy. */
  clone?: CloneKind;
  sizeBytes?: number;
  /** Of one that is made from nothing; absent: raw. */
  format?: VolumeFormat;
  /** Absent: sparse. */
  preallocate?: Preallocation;
  /** Absent, here and in what follows: the one that every installation has. */
  pool?: PoolRef;
}
/** The disk of a machine that a volume is. */
export interface VolumeHolder {
  machineId: string;
  disk: string;
}
export interface GrowVolumeCommand extends VolumeStorage {
  id: string;
  sizeBytes: number;
  holder?: VolumeHolder;
  pool?: PoolRef;
}
export interface RemoveVolumeCommand {
  id: string;
  pool?: PoolRef;
}
export interface VolumeFacts {
  sizeBytes: number;
}
