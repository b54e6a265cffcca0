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

/** Bytes of a file system that no image and no copy may take. */
export function keptBack(capacityBytes: number): number {
  return Math.floor(Math.min(capacityBytes * MOST_KEPT_PART, Math.max(LEAST_KEPT, Math.min(MOST_KEPT, capacityBytes / 100))));
}

/**
 * Space of the file system a pool is on. The database often lies on it too: if one upload could take the last byte, nothing could
 * be written any more, not even to delete the key that uploads. So a part is kept back from images and copies of them.
 * NOTE: what guests write to volumes with holes is not bounded by it.
 */
export class PoolSpace {
  constructor(private readonly directory: string) {}

  async usage(): Promise<{ capacityBytes: number; availableBytes: number }> {
    const { capacityBytes, free, kept } = await this.look();
    return { capacityBytes, availableBytes: Math.max(0, free - kept) };
  }

  /** Fails with `pool.full` unless so many bytes can be taken. */
  async require(bytes: number): Promise<void> {
    const { free, kept } = await this.look();
    if (bytes <= free - kept) return;
    throw new ApiError('pool.full', {
      detail: `The pool has ${free} bytes free, of which ${kept} are kept back for the database${bytes > 0 ? `; ${bytes} are needed` : ''}.`,
      remedy: POOL_FULL_REMEDY,
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
  async during<T>(control: CommandControl, copy: (control: CommandControl) => Promise<T>): Promise<T> {
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
    return { capacityBytes: blocks * bsize, free: bavail * bsize, kept: keptBack(blocks * bsize) };
  }
}
