// SPDX-License-Identifier: Apache-2.0
import { statfs } from 'node:fs/promises';
import { Transform } from 'node:stream';
import { ApiError, POOL_FULL_REMEDY } from '../../../common/api-error.js';
import type { CommandControl } from '../../../host-agent/host-agent.js';

const MEBIBYTE = 2 ** 20;
/** Bounds of what is kept back, whatever 1 % of the file system is. */
const LEAST_KEPT = 64 * MEBIBYTE;
const MOST_KEPT = 1024 * MEBIBYTE;
/** Part of a file system that is kept back at most: on a small one something is to be left for images. */
const MOST_KEPT_PART = 1 / 16;
/** Bytes of an upload between two looks at the file system. */
const LOOK_BYTES = 256 * 1024;

/** What is kept free of a file system: how much, for what, and what to do when nothing else is left. */
export interface Kept {
  bytes(capacityBytes: number): number;
  why: string;
  remedy: string;
}

/** Bytes of a file system that no image and no copy may take. */
export function keptBack(capacityBytes: number): number {
  return Math.floor(Math.min(capacityBytes * MOST_KEPT_PART, Math.max(LEAST_KEPT, Math.min(MOST_KEPT, capacityBytes / 100))));
}

/** What is kept free where the database is. */
export const keptForDatabase: Kept = { bytes: keptBack, why: 'for the database', remedy: POOL_FULL_REMEDY };

/** What the guard of a pool keeps free. */
export function guardOf(percent: () => number): Kept {
  return {
    bytes: (capacityBytes) => Math.floor((capacityBytes * percent()) / 100),
    why: 'by the guard of the pool',
    remedy: 'Free space in the pool, make its storage larger, or lower its guard: `flotilla pool set POOL --guard PERCENT`.',
  };
}

/**
 * Space of the file system a pool is on. The database often lies on it too: if one upload could take the last byte, nothing could
 * be written any more, not even to delete the key that uploads. So a part is kept back from images and copies of them.
 * NOTE: what guests write to volumes with holes is not bounded by it.
 */
export class PoolSpace {
  constructor(
    private readonly directory: string,
    private readonly keep: Kept = keptForDatabase,
  ) {}

  async usage(): Promise<{ capacityBytes: number; availableBytes: number }> {
    const { capacityBytes, free, kept } = await this.look();
    return { capacityBytes, availableBytes: Math.max(0, free - kept) };
  }

  /** Fails with `pool.full` unless so many bytes can be taken. */
  async require(bytes: number): Promise<void> {
    const { free, kept } = await this.look();
    if (bytes <= free - kept) return;
    throw new ApiError('pool.full', {
      detail: `The pool has ${free} bytes free, of which ${kept} are kept back ${this.keep.why}${bytes > 0 ? `; ${bytes} are needed` : ''}.`,
      remedy: this.keep.remedy,
    });
  }

  /** Lets an upload through while there is space: it does not say beforehand how long it is. */
  gauge(): Transform {
    let unseen = LOOK_BYTES;
    return new Transform({
      transform: (chunk: Buffer, _encoding, done) => {
        unseen += chunk.length;
        if (unseen < LOOK_BYTES) {
          done(null, chunk);
          return;
        }
        unseen = 0;
        this.require(chunk.length).then(
          () => done(null, chunk),
          (error: Error) => done(error),
        );
      },
    });
  }

  /** Runs a copy, which is ended when others take the space it was to have. */
  async during<T>(control: CommandControl, copy: (control: CommandControl & { signal: AbortSignal }) => Promise<T>): Promise<T> {
    const full = new AbortController();
    let looking = false;
    const look = () => {
      if (looking) return;
      looking = true;
      this.require(0).then(
        () => {
          looking = false;
        },
        (error: unknown) => full.abort(error),
      );
    };
    try {
      return await copy({
        signal: control.signal === undefined ? full.signal : AbortSignal.any([control.signal, full.signal]),
        onProgress: (progress) => {
          control.onProgress?.(progress);
          look();
        },
      });
    } catch (error) {
      throw full.signal.aborted ? full.signal.reason : error;
    }
  }

  private async look(): Promise<{ capacityBytes: number; free: number; kept: number }> {
    const { blocks, bavail, bsize } = await statfs(this.directory);
    return { capacityBytes: blocks * bsize, free: bavail * bsize, kept: this.keep.bytes(blocks * bsize) };
  }
}
