// SPDX-License-Identifier: Apache-2.0
import { guardOf } from '../dir/pool-space.js';
import { type Layout, METADATA_LIMIT } from './layout.js';
import type { VolumeGroup } from './logical-volumes.js';

/** What is free in a thin pool or group for new volumes, less what the guard keeps. */
export class LvmRoom {
  constructor(
    private readonly layout: Layout,
    private readonly guardPercent: () => number,
  ) {}

  availableIn(group: VolumeGroup): number {
    const { capacityBytes, freeBytes, metadataPercent = 0 } = this.layout.space(group);
    if (metadataPercent >= METADATA_LIMIT) return 0;
    return Math.max(0, freeBytes - guardOf(this.guardPercent).bytes(capacityBytes));
  }

  /** Fails unless so many bytes can be taken. The guard keeps volumes without content away too: their guests will fill them. */
  require(group: VolumeGroup, bytes: number): void {
    const { errors } = this.layout;
    const { capacityBytes, freeBytes, metadataPercent = 0 } = this.layout.space(group);
    const guard = guardOf(this.guardPercent);
    if (metadataPercent >= METADATA_LIMIT)
      throw errors.full(
        `${metadataPercent} % of its metadata are in use, and from ${METADATA_LIMIT} % on nothing is made there.`,
        `Make them larger: lvextend --poolmetadatasize +1G ${this.layout.group}/${this.layout.thinPool}`,
      );
    const kept = guard.bytes(capacityBytes);
    if (bytes <= freeBytes - kept) return;
    throw errors.full(
      `${freeBytes} bytes are free, of which ${kept} are kept back ${guard.why}${bytes > 0 ? `; ${bytes} are needed` : ''}.`,
      guard.remedy,
    );
  }
}
