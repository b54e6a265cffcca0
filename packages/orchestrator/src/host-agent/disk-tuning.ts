// SPDX-License-Identifier: Apache-2.0

export const DISK_CACHES = ['none', 'writeback', 'writethrough'] as const;
export const DISK_ENGINES = ['auto', 'io-uring', 'direct'] as const;
export const SPACE_POLICIES = ['report', 'pause'] as const;
export const MAX_DISK_QUEUES = 16;
export const BLOCK_SIZES = [512, 4096] as const;

/** How a disk is served. What is left out, the core chooses. */
export interface DiskTuning {
  queues?: number;
  cache?: (typeof DISK_CACHES)[number];
  engine?: (typeof DISK_ENGINES)[number];
  /** Bytes. */
  blockSize?: (typeof BLOCK_SIZES)[number];
  /** What follows when the host has no space for a write. */
  onNoSpace?: (typeof SPACE_POLICIES)[number];
}

/** These properties of a disk, without those that are absent. */
export function diskTuning({ queues, cache, engine, blockSize, onNoSpace }: DiskTuning): DiskTuning {
  return {
    ...(queues === undefined ? {} : { queues }),
    ...(cache === undefined ? {} : { cache }),
    ...(engine === undefined ? {} : { engine }),
    ...(blockSize === undefined ? {} : { blockSize }),
    ...(onNoSpace === undefined ? {} : { onNoSpace }),
  };
}
