// SPDX-License-Identifier: Apache-2.0
// What tells thin pools and volume groups apart.
import type { PoolRefOf } from '../../../common/pool.js';
import type { LogicalVolume, Tagged, VolumeGroup } from './logical-volumes.js';
import { LvmErrors } from './lvm-errors.js';

/** Percent of the metadata of a thin pool from which on nothing new is made: without any left, the pool can only be read. */
export const METADATA_LIMIT = 90;

export interface LvmSpace {
  capacityBytes: number;
  freeBytes: number;
  dataPercent?: number;
  metadataPercent?: number;
}

/** A kind of pool of logical volumes. */
export interface Layout {
  readonly kind: 'lvm-thin' | 'lvm';
  readonly group: string;
  readonly thinPool?: string;
  readonly errors: LvmErrors;
  /** Whether a new volume may hold what others left. */
  readonly used: boolean;
  /** What bears the mark of the pool. */
  readonly place: Tagged;
  /** Fails unless volumes can be there, by the field that is at fault. */
  requireValid(group: VolumeGroup): void;
  /** The tags of the place; `undefined`: it is not there. */
  tagsIn(group: VolumeGroup): readonly string[] | undefined;
  /** Fails unless volumes that are there can be used. */
  requireWell(group: VolumeGroup): void;
  space(group: VolumeGroup): LvmSpace;
  /** What has to be active beside the volumes: how full a thin pool is can only be told then. */
  asleepIn(group: VolumeGroup): readonly string[];
  /** Bytes of the pool that a volume takes now. */
  takenBy(volume: LogicalVolume): number;
  /** Bytes that must be free for a new volume of a size, with so much of an image in it. */
  needs(sizeBytes: number, contentBytes: number): number;
}

export function thinLayout({ config: { volumeGroup: group, thinPool } }: PoolRefOf<'lvm-thin'>): Layout {
  const errors = new LvmErrors(`The thin pool ${group}/${thinPool}`, 'lvmThin');
  const find = ({ volumes }: VolumeGroup) => volumes.find(({ name, role }) => name === thinPool && role === 'thin-pool');
  return {
    kind: 'lvm-thin',
    group,
    thinPool,
    errors,
    used: false,
    place: { group, volume: thinPool },
    requireValid(found) {
      const pool = find(found);
      if (pool === undefined)
        throw errors.invalid(
          `The volume group ${group} has no thin pool ${thinPool}.`,
          `Make it: lvcreate --type thin-pool -l 100%FREE -n ${thinPool} ${group}`,
          'lvmThin.thinPool',
        );
      if (!pool.zeroes)
        throw errors.invalid(
          `${errors.known} does not zero its blocks: a guest would read in a new volume what others have left there.`,
          `Have it do so: lvchange -Zy ${group}/${thinPool}`,
          'lvmThin.thinPool',
        );
    },
    tagsIn: (found) => find(found)?.tags,
    requireWell(found) {
      if (find(found)?.health !== 'failed') return;
      throw errors.away('Its device has failed, or it can only be read.', `Look at it (lvs -a, dmesg), and repair it: lvconvert --repair`);
    },
    space(found) {
      const { sizeBytes = 0, dataPercent = 0, metadataPercent = 0 } = find(found) ?? {};
      const freeBytes = sizeBytes - Math.ceil((sizeBytes * dataPercent) / 100);
      return { capacityBytes: sizeBytes, freeBytes, dataPercent, metadataPercent };
    },
    asleepIn: (found) => (find(found)?.dataPercent === undefined ? [thinPool] : []),
    takenBy: ({ sizeBytes, dataPercent = 0 }) => Math.ceil((sizeBytes * dataPercent) / 100),
    needs: (_size, contentBytes) => contentBytes,
  };
}

export function thickLayout({ config: { volumeGroup: group } }: PoolRefOf<'lvm'>): Layout {
  const errors = new LvmErrors(`The volume group ${group}`, 'lvm');
  return {
    kind: 'lvm',
    group,
    errors,
    used: true,
    place: { group },
    requireValid: () => undefined,
    tagsIn: ({ tags }) => tags,
    requireWell: () => undefined,
    space: ({ sizeBytes, freeBytes }) => ({ capacityBytes: sizeBytes, freeBytes }),
    asleepIn: () => [],
    takenBy: ({ sizeBytes }) => sizeBytes,
    needs: (sizeBytes) => sizeBytes,
  };
}
