// SPDX-License-Identifier: Apache-2.0
import type { ProblemDocument } from '../../../common/api-error.js';
import type { ByteProgress, PoolUsage, VolumeFacts } from '../../../host-agent/host-agent.js';
import type { DiskCopy } from '../../files/disk-copier.js';
import type { DeviceContent } from '../../files/file-tools.js';
import type { GrownVolume, NewVolume, PoolCollection } from '../storage-pool.js';

// What goes between this process and the one that works on the files of a pool.

/** What it says when something fails, and by what it works: all of it where it works on one device. */
export interface AsideSetup {
  /** How a person knows the place, and the field of a definition that names it. */
  known: string;
  field: string;
  /** What to do when the mark of the pool is not there. */
  remedy: string;
  /** Whether the core does the work on files, or Node. */
  native: boolean;
}

/** Which pool it works on. */
export interface PoolSetup extends AsideSetup {
  id: string;
  directory: string;
  /** Directory of the pool that images are copied from. */
  home: string;
}

/** What it can be asked for. */
export interface PoolCalls {
  /** Asks the file system for something that it cannot know without its server. */
  probe: { takes: null; answers: null };
  make: { takes: null; answers: null };
  require: { takes: null; answers: null };
  remove: { takes: null; answers: null };
  usage: { takes: null; answers: PoolUsage };
  ensureVolume: { takes: NewVolume; answers: VolumeFacts };
  growVolume: { takes: GrownVolume; answers: VolumeFacts };
  /** Of a device alone. */
  fill: { takes: DeviceContent; answers: null };
  /** Of a process for one copy alone. */
  copyDisk: { takes: DiskCopy; answers: null };
  removeVolume: { takes: string; answers: null };
  /** Ids of images and volumes that have files, also half-made ones. */
  names: { takes: null; answers: { images: string[]; volumes: string[] } };
  /** Takes the ids that nobody owns. */
  collect: { takes: { images: string[]; volumes: string[] }; answers: PoolCollection };
}
export type PoolCall = keyof PoolCalls;

export type ToPoolServer =
  | { [C in PoolCall]: { id: number; call: C; takes: PoolCalls[C]['takes']; guardPercent?: number } }[PoolCall]
  | { id: number; abort: true };

export type FromPoolServer =
  | { ready: true }
  | { id: number; progress: ByteProgress }
  | { id: number; answer: unknown }
  | { id: number; problem: ProblemDocument };
