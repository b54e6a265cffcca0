// SPDX-License-Identifier: Apache-2.0
import type { PoolCapability, PoolKind } from '../../common/pool.js';
import type { VolumeStorage } from '../../common/volume-storage.js';
import type { CommandControl, EnsureVolumeCommand, GrowVolumeCommand, PoolUsage, VolumeFacts } from '../../host-agent/host-agent.js';
import type { DiskFiles } from '../hypervisor/hypervisor.js';
import type { Keep } from '../touched.js';

/** What a collection did: removed what was half made or kept long enough, set aside what was whole, and could not move (why). */
export interface PoolCollection {
  removed: string[];
  setAside: string[];
  failed: string[];
}

/** A volume to make, see `EnsureVolumeCommand`. */
export type NewVolume = Omit<EnsureVolumeCommand, 'pool' | 'origin'> & {
  /** The files of the volume that it is copied from. */
  from?: DiskFiles;
  /** Where the host keeps the image that it is made from: a raw file. */
  imagePath?: string;
};

/** A volume to make larger. */
export type GrownVolume = Omit<GrowVolumeCommand, 'holder' | 'pool'>;

/**
 * The driver of a kind of storage pool, one object for each pool. It holds no knowledge that it could not find anew on the host, so
 * that a command can be repeated after any crash: each method comes to the same end from every half-done state.
 *
 *     make ─▶ open ─▶ (volumes) ─▶ close ─▶ remove
 *              ▲────────────────────┘
 *
 * Volumes go by ids, which are file names, names of logical volumes, data sets or block images as they are. Images are not the
 * matter of a driver: each is a raw file of the first pool of the host, and a driver that makes linked clones keeps a copy of its own of
 * those it needs, under their ids too. Nothing may wait without a bound for storage that is away.
 */
export abstract class StoragePool {
  abstract readonly kind: PoolKind;
  /** Percent of the capacity that are kept free: below that nothing new is made, cloned or grown. */
  abstract guardPercent: number;

  /** Makes the place of the pool. Fails, and touches nothing, when something else is there. */
  abstract make(): Promise<void>;
  /** Brings it to where volumes can be used, which costs next to nothing when it is; fails with `pool.unavailable`. */
  abstract open(): Promise<void>;
  /** Undoes `open`. `force`: also when the storage does not answer. */
  abstract close(force: boolean): Promise<void>;
  /**
   * Undoes `make`; nothing is done to what is not ours. Fails with `pool.not_empty` while there are volumes. `force`: what cannot be
   * reached stays there.
   */
  abstract remove(force: boolean): Promise<void>;
  /** This process ends; what is open stays so, for the next one. */
  leave(): void {}

  /** What this very pool can do, of what its driver can. */
  abstract capabilities(): Promise<PoolCapability[]>;
  abstract usage(): Promise<PoolUsage>;

  /** Makes a volume; done when it is there, whole and durable. */
  abstract ensureVolume(volume: NewVolume, control: CommandControl): Promise<VolumeFacts>;
  /** Makes a volume larger that no worker has open; never smaller. */
  abstract growVolume(volume: GrownVolume): Promise<VolumeFacts>;
  /** Done when there is none. */
  abstract removeVolume(id: string): Promise<void>;
  /** What a worker gets of a volume. */
  abstract diskFiles(id: string, storage: VolumeStorage): DiskFiles;
  /** Removes what is half made and nobody makes, and copies of images that are gone; sets aside volumes that nobody owns. */
  abstract collect(owned: { volumes: Keep; images: Keep }): Promise<PoolCollection>;
}
