// SPDX-License-Identifier: Apache-2.0
import { type Throttle, throttleOf } from '../common/throttle.js';

export const DISK_ATTACHMENTS = ['block', 'pmem'] as const;
export const DISK_CACHES = ['none', 'writeback', 'writethrough'] as const;
export const DISK_ENGINES = ['auto', 'io-uring', 'direct'] as const;
export const SPACE_POLICIES = ['report', 'pause'] as const;
export const MAX_DISK_QUEUES = 16;
export const BLOCK_SIZES = [512, 4096] as const;

/** How a disk is served. What is left out, the core chooses. */
export interface DiskTuning {
  /** What the guest finds it as: a block device, or memory. */
  attach?: (typeof DISK_ATTACHMENTS)[number];
  queues?: number;
  cache?: (typeof DISK_CACHES)[number];
  engine?: (typeof DISK_ENGINES)[number];
  /** Bytes. */
  blockSize?: (typeof BLOCK_SIZES)[number];
  /** What follows when the host has no space for a write. */
  onNoSpace?: (typeof SPACE_POLICIES)[number];
  throttle?: Throttle;
}

/** These properties of a disk, without those that are absent. */
export function diskTuning({ attach, queues, cache, engine, blockSize, onNoSpace, throttle }: DiskTuning): DiskTuning {
  return {
    ...(attach === undefined ? {} : { attach }),
    ...(queues === undefined ? {} : { queues }),
    ...(cache === undefined ? {} : { cache }),
    ...(engine === undefined ? {} : { engine }),
    ...(blockSize === undefined ? {} : { blockSize }),
    ...(onNoSpace === undefined ? {} : { onNoSpace }),
    ...(throttle === undefined ? {} : { throttle: throttleOf(throttle) }),
  };
}
