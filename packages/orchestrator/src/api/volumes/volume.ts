// SPDX-License-Identifier: Apache-2.0
import type { VolumeFormat, VolumeStorage } from '../../common/volume-storage.js';

export const VOLUME_STATES = ['creating', 'ready', 'deleting'] as const;
export type VolumeState = (typeof VOLUME_STATES)[number];

/** A virtual disk; the machine that holds it is the only one that may use it. */
export interface Volume {
  id: string;
  name: string;
  pool: string;
  sizeBytes: number;
  format: VolumeFormat;
  /** Id of the image that a linked volume reads what its guest has not written, or that a shared one is. */
  backingImage?: string;
  machine?: string;
  state: VolumeState;
  createdAt: string;
}

/** How the host keeps a volume. */
export function storageOf({ format, backingImage }: Volume): VolumeStorage {
  return { format, ...(backingImage === undefined ? {} : { backingImageId: backingImage }) };
}
