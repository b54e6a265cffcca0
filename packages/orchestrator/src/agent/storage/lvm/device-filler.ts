// SPDX-License-Identifier: Apache-2.0
import type { ApiError } from '../../../common/api-error.js';
import type { ByteProgress, CommandControl } from '../../../host-agent/host-agent.js';
import type { DeviceContent } from '../../files/file-tools.js';
import type { DiskCopy } from '../../files/disk-copier.js';
import type { AsideSetup, PoolCalls } from '../aside/pool-messages.js';
import { PoolProcess } from '../aside/pool-process.js';

/** Longer than a thin pool waits for space before it says that there is none (60 s, dm_thin_pool.no_space_timeout). */
const STALL_MILLISECONDS = 120_000;

/**
 * Fills devices and copies disks, each in a process of its own. A device that does not answer, such as one that is suspended, keeps whoever writes to
 * it waiting in the kernel; a thread of ours would be lost as long.
 */
export class DeviceFiller {
  constructor(
    private readonly setup: AsideSetup,
    /** What it fails with when the device does not answer. */
    private readonly away: (why: string) => ApiError,
    private readonly stallMilliseconds = STALL_MILLISECONDS,
  ) {}

  fill(content: DeviceContent, control: CommandControl): Promise<void> {
    return this.work('fill', content, control);
  }

  /** Copies a disk, to a device or to a file of a pool. */
  copy(copy: DiskCopy, control: CommandControl): Promise<void> {
    return this.work('copyDisk', copy, control);
  }

  private async work<C extends 'fill' | 'copyDisk'>(
    call: C,
    takes: PoolCalls[C]['takes'],
    { signal, onProgress }: CommandControl,
  ): Promise<void> {
    signal?.throwIfAborted();
    const aside = new PoolProcess(this.setup, this.away);
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        const patience = () => {
          clearTimeout(timer);
          timer = setTimeout(
            () => reject(this.away(`Nothing could be read or written there for ${this.stallMilliseconds / 1000} seconds.`)),
            this.stallMilliseconds,
          );
        };
        patience();
        // It may be waiting, and then hears of nothing: it is ended below.
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
        const tell = (progress: ByteProgress) => {
          patience();
          onProgress?.(progress);
        };
        aside.call(call, takes, { onProgress: tell }).then(() => resolve(), reject);
      });
    } finally {
      clearTimeout(timer);
      await aside.kill();
    }
  }
}
