// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KeyedQueue } from '../../../common/async.js';
import { nfsMountOptions, nfsSource } from '../../../common/nfs.js';
import { DRIVERS, type PoolCapability, type PoolRefOf } from '../../../common/pool.js';
import type { VolumeStorage } from '../../../common/volume-storage.js';
import type { CommandControl, PoolUsage, VolumeFacts } from '../../../host-agent/host-agent.js';
import type { DiskFiles } from '../../hypervisor/hypervisor.js';
import type { Keep } from '../../touched.js';
import type { PoolCall, PoolCalls } from '../aside/pool-messages.js';
import { type Patience, PoolProcess } from '../aside/pool-process.js';
import { filesOf } from '../dir/volume-files.js';
import { type GrownVolume, type NewVolume, type PoolCollection, StoragePool } from '../storage-pool.js';
import type { Mounts } from './mounts.js';
import { NfsErrors } from './nfs-errors.js';

/** A look at a pool takes no longer, also while its server waits for what others had locked before it was started. */
const LOOK_MILLISECONDS = 20_000;

/** What pools on NFS need of the host. */
export interface NfsHost {
  mounts: Mounts;
  /** Directory of the mount points. Without symbolic links in it: the kernel shows where a mount really is. */
  points: string;
  /** Directory of the pool that images are copied from. */
  home: string;
  /** Whether the core does the work on files, or Node. */
  native: boolean;
  /** Whether pools are bound to directories of the host. */
  rooted: boolean;
  patience?: Patience;
}

/**
 * Storage pool of kind `nfs`: an export that is mounted while the pool is started, and used like a directory, by a process of its own.
 * The mount outlives this process, as machines do; the next one finds it by what is mounted where.
 */
export class NfsPool extends StoragePool {
  override readonly kind = 'nfs';
  override guardPercent: number;
  private readonly source: string;
  private readonly point: string;
  private readonly errors: NfsErrors;
  /** Mounting and unmounting, one after the other. */
  private readonly turns = new KeyedQueue();
  private aside: PoolProcess | undefined;
  private opening: Promise<void> | undefined;

  constructor(
    private readonly ref: PoolRefOf<'nfs'>,
    private readonly host: NfsHost,
  ) {
    super();
    this.guardPercent = ref.guardPercent;
    this.source = nfsSource(ref.config);
    this.point = join(host.points, ref.id);
    this.errors = new NfsErrors(this.source);
  }

  override make(): Promise<void> {
    return this.inTurn(async () => {
      if (this.host.rooted) throw this.errors.rooted();
      const aside = await this.attach().catch((error: unknown) => {
        throw this.errors.atDefinition(error);
      });
      await this.ask(aside, 'make', null);
    });
  }

  /** Looked at once for all who ask at a time. */
  override open(): Promise<void> {
    this.opening ??= this.inTurn(async () => {
      const aside = await this.attach();
      await this.soon(this.ask(aside, 'require', null));
    }).finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  override close(force: boolean): Promise<void> {
    return this.inTurn(async () => {
      if (!force && (await this.host.mounts.find(this.point)) !== undefined) await this.requireAnswer();
      await this.detach(force);
    });
  }

  override remove(force: boolean): Promise<void> {
    return this.inTurn(async () => {
      try {
        const aside = await this.attach();
        await this.ask(aside, 'probe', null); // a place that cannot be read would be passed over
        await this.ask(aside, 'remove', null);
      } catch (error) {
        const known = this.errors.from(error);
        if (force && known.code !== 'pool.not_empty') return this.detach(force);
        await this.detach(force).catch(() => undefined); // why it is not removed is what counts
        throw known;
      }
      await this.detach(force);
    });
  }

  override leave(): void {
    void this.aside?.kill();
  }

  override capabilities(): Promise<PoolCapability[]> {
    return Promise.resolve([...DRIVERS.nfs]);
  }

  override async usage(): Promise<PoolUsage> {
    return this.soon(this.ask(this.live(), 'usage', null));
  }

  override async ensureVolume(volume: NewVolume, control: CommandControl): Promise<VolumeFacts> {
    return this.ask(this.live(), 'ensureVolume', volume, control);
  }

  override async growVolume(volume: GrownVolume): Promise<VolumeFacts> {
    return this.ask(this.live(), 'growVolume', volume);
  }

  override async removeVolume(id: string): Promise<void> {
    await this.ask(this.live(), 'removeVolume', id);
  }

  override diskFiles(id: string, storage: VolumeStorage): DiskFiles {
    return filesOf(this.point, id, storage);
  }

  override async collect(owned: { volumes: Keep; images: Keep }): Promise<PoolCollection> {
    const { images, volumes } = await this.ask(this.live(), 'names', null);
    const unowned = (ids: string[], keep: Keep) => ids.filter((id) => !keep.has(id));
    return this.ask(this.live(), 'collect', { images: unowned(images, owned.images), volumes: unowned(volumes, owned.volumes) });
  }

  /** Mounts it unless it is, and has a process for it. */
  private async attach(): Promise<PoolProcess> {
    const { mounts, home, native, patience } = this.host;
    const { source, point } = this;
    const there = (await mounts.find(point)) ?? (await this.mount());
    if (there.source !== source) throw this.errors.foreign(point, there.source);
    if (this.aside?.lives === true) return this.aside;
    const setup = { id: this.ref.id, directory: there.directory, home, native, ...this.errors.setup };
    this.aside = new PoolProcess(setup, (why) => this.errors.away(why), patience);
    return this.aside;
  }

  private async mount(): Promise<{ source: string; directory: string }> {
    const { mounts } = this.host;
    const { source, point } = this;
    await this.letGo(); // what it had open was elsewhere
    await mounts.mount({ source, point, options: nfsMountOptions(this.ref.config) });
    const there = await mounts.find(point);
    if (there === undefined) throw this.errors.away('It was mounted and is not there.');
    return there;
  }

  /** What was written and is not on the server yet would be lost with the mount. */
  private async requireAnswer(): Promise<void> {
    try {
      await this.soon(this.ask(await this.attach(), 'probe', null));
    } catch (error) {
      throw this.errors.unanswered(error);
    }
  }

  private async detach(force: boolean): Promise<void> {
    await this.letGo();
    await this.host.mounts.unmount(this.point, force);
  }

  private async letGo(): Promise<void> {
    await this.aside?.kill();
    this.aside = undefined;
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.turns.run('', () =>
      work().catch((error: unknown) => {
        throw this.errors.from(error);
      }),
    );
  }

  private live(): PoolProcess {
    if (this.aside === undefined) throw this.errors.away('It is not mounted.');
    return this.aside;
  }

  private ask<C extends PoolCall>(
    aside: PoolProcess,
    call: C,
    takes: PoolCalls[C]['takes'],
    control: CommandControl = {},
  ): Promise<PoolCalls[C]['answers']> {
    return aside.call(call, takes, { ...control, guardPercent: this.guardPercent });
  }

  /** Fails when it takes long; it may go on. */
  private async soon<T>(work: Promise<T>): Promise<T> {
    const done = new AbortController();
    const late = async () => {
      await delay(LOOK_MILLISECONDS, undefined, { ref: false, signal: done.signal });
      throw this.errors.away(`It answers, and a look at it takes more than ${LOOK_MILLISECONDS / 1000} seconds.`);
    };
    const lateness = late();
    lateness.catch(() => undefined); // also when it is called off
    try {
      return await Promise.race([work, lateness]);
    } finally {
      done.abort();
      work.catch(() => undefined);
    }
  }
}
