// SPDX-License-Identifier: Apache-2.0

const SECTOR = 512;
/** MiB of the largest disk that can be asked for: 64 TiB. */
export const MAX_DISK_MIB = 64 * 1024 * 1024;

export const VOLUME_FORMATS = ['raw', 'qcow2'] as const;
export type VolumeFormat = (typeof VOLUME_FORMATS)[number];

/** `full`: a copy of the image. `linked`: only what differs from the image, which stays below it. `shared`: the image itself, to read. */
export const CLONE_KINDS = ['full', 'linked', 'shared'] as const;
export type CloneKind = (typeof CLONE_KINDS)[number];

/** `sparse`: a volume takes what is written to it. `full`: it takes all of its space when it is made. */
export const PREALLOCATIONS = ['sparse', 'full'] as const;
export type Preallocation = (typeof PREALLOCATIONS)[number];

/** How a volume is kept. The format is stored beside it and never guessed from what is in the file. */
export interface VolumeStorage {
  format: VolumeFormat;
  /** The image that a linked clone reads what its guest has not written. With the format raw the volume is that image. */
  backingImageId?: string;
}

/** Whether a volume is its image: several machines have it open, and each of them may only read. */
export function isShared({ format, backingImageId }: VolumeStorage): boolean {
  return format === 'raw' && backingImageId !== undefined;
}

/** Bytes of a linked volume: as many as its image has, in whole sectors, or more when more was asked for. */
export function linkedSize(imageBytes: number, wantedBytes: number): number {
  return Math.max(Math.ceil(imageBytes / SECTOR) * SECTOR, wantedBytes);
}
