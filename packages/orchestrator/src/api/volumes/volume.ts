// SPDX-License-Identifier: Apache-2.0
import type { Target } from '../../common/event.js';
import { type Labels, looksLikeId } from '../../common/names.js';
import type { VolumeFormat, VolumeStorage } from '../../common/volume-storage.js';

/** `moving`: it goes into another pool, and no machine that has it is started meanwhile. `deleting`: it is on its way out, and can only be deleted again. */
export const VOLUME_STATES = ['creating', 'ready', 'moving', 'deleting'] as const;
export type VolumeState = (typeof VOLUME_STATES)[number];

/** A virtual disk; the machine that holds it is the only one that may use it. */
export interface Volume {
  id: string;
  name: string;
  labels: Labels;
  pool: string;
  sizeBytes: number;
  format: VolumeFormat;
  /** Id of the image that a linked volume reads what its guest has not written, or that a shared one is. */
  backingImage?: string;
  /** Id of the image or volume that it is copied from, while it is made. */
  source?: string;
  machine?: string;
  state: VolumeState;
  /** Grows with each change of what was asked for; the ETag. */
  generation: number;
  createdAt: string;
}

/** How the host keeps a volume. */
export function storageOf({ format, backingImage }: Pick<Volume, 'format' | 'backingImage'>): VolumeStorage {
  return { format, ...(backingImage === undefined ? {} : { backingImageId: backingImage }) };
}

export function volumeTarget({ id, name }: Pick<Volume, 'id' | 'name'>): Target {
  return { kind: 'volume', id, name };
}

/** The name of a volume that is made with a machine: another one when that is taken, or could be taken for an id. */
export function spareName({ id, name }: Pick<Volume, 'id' | 'name'>, taken: boolean): string {
  return taken || looksLikeId(name) ? `${name}-${id.slice(-8)}` : name;
}
