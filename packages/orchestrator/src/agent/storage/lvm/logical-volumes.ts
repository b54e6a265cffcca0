// SPDX-License-Identifier: Apache-2.0

/** A volume of a group, whoever it belongs to. */
export interface LogicalVolume {
  name: string;
  sizeBytes: number;
  role: 'thin-pool' | 'thin' | 'other';
  /** Whether somebody has made snapshots of a thick one: they go with it. */
  hasSnapshots?: true;
  /** The thin pool that a thin volume is in. */
  pool?: string;
  tags: readonly string[];
  /** Whether it can be used now: its device is there. */
  active: boolean;
  /** Whether a thin pool overwrites its blocks with zeroes before a volume gets them. */
  zeroes: boolean;
  /** Percent of its space that hold data; of a thin pool, and of a thin volume that is active. */
  dataPercent?: number;
  /** Percent of what a thin pool has to know its blocks. */
  metadataPercent?: number;
  /** What has befallen it. */
  health: 'well' | 'full' | 'failed';
}

/** A volume group. */
export interface VolumeGroup {
  name: string;
  sizeBytes: number;
  freeBytes: number;
  /** Sizes of volumes are multiples of it. */
  extentBytes: number;
  tags: readonly string[];
  volumes: readonly LogicalVolume[];
}

/** A volume to make. */
export interface WantedVolume {
  group: string;
  name: string;
  /** A multiple of the extent. */
  sizeBytes: number;
  tags: readonly string[];
  /** Absent: a thick one, of extents of its own, which holds what they held. */
  thinPool?: string;
}

/** A volume by its name, or a group. */
export interface Tagged {
  group: string;
  volume?: string;
}

/** Port to the logical volumes of the host. Each call changes all of what it is asked to or nothing; none waits without a bound. */
export abstract class LogicalVolumes {
  /** Fails with `no-group` when there is none of that name. */
  abstract look(group: string): Promise<VolumeGroup>;
  /** Makes a volume that is active. */
  abstract create(wanted: WantedVolume): Promise<void>;
  abstract tag(what: Tagged, change: { add?: readonly string[]; remove?: readonly string[] }): Promise<void>;
  abstract activate(group: string, names: readonly string[]): Promise<void>;
  /** Fails with `busy` when one is open. */
  abstract deactivate(group: string, names: readonly string[]): Promise<void>;
  /** Makes a volume larger, to a multiple of the extent. */
  abstract extend(group: string, name: string, sizeBytes: number): Promise<void>;
  /** Fails with `busy` when it is open. */
  abstract remove(group: string, name: string): Promise<void>;
  /** The block device of a volume that is active. Fails with `misled` when there is another one by its name. */
  abstract device(group: string, name: string): string;
}

/** Why something was not done. */
export class LvmRefused extends Error {
  override name = 'LvmRefused';

  constructor(
    readonly why: 'missing-program' | 'no-group' | 'full' | 'busy' | 'no-answer' | 'misled' | 'refused',
    /** What was said, without a full stop. */
    readonly said: string,
  ) {
    super(said);
  }
}
