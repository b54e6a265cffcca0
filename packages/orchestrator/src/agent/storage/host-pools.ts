// SPDX-License-Identifier: Apache-2.0
import { ApiError } from '../../common/api-error.js';
import { KeyedQueue } from '../../common/async.js';
import type { PoolRef } from '../../common/pool.js';
import type { PoolFacts } from '../../host-agent/host-agent.js';
import type { Keep } from '../touched.js';
import type { DirPool } from './dir/dir-pool.js';
import type { PoolCollection, StoragePool } from './storage-pool.js';

/**
 * The pools of this host: the one that every installation has, where the images are too, and those that commands name. A command
 * says where its pool is, so nothing is lost with this process.
 */
export class HostPools {
  /** One object a pool: it knows what is being made there now. */
  private readonly known = new Map<string, StoragePool>();
  private readonly making = new KeyedQueue();
  /** Generations of the wishes by which pools were closed. */
  private readonly closed = new Map<string, number>();

  constructor(
    readonly home: DirPool,
    private readonly driverOf: (ref: PoolRef) => StoragePool,
  ) {}

  /** A pool that is open. */
  async opened(ref: PoolRef | undefined): Promise<StoragePool> {
    if (ref === undefined) return this.home;
    const pool = this.find(ref);
    this.requireNewer(ref);
    await pool.open();
    return pool;
  }

  /** Does something with a pool that is open. One that is gone meanwhile says so, whatever its driver met in its place. */
  async use<T>(ref: PoolRef | undefined, act: (pool: StoragePool) => Promise<T>): Promise<T> {
    const pool = await this.opened(ref);
    try {
      return await act(pool);
    } catch (error) {
      if (!(error instanceof ApiError)) await pool.open();
      throw error;
    }
  }

  /** One after another: of two that want the same place, or one place in the other, the second finds the first. */
  make(ref: PoolRef): Promise<void> {
    return this.making.run(ref.kind, () => this.find(ref).make());
  }

  open(ref: PoolRef): Promise<PoolFacts> {
    return this.use(ref, async (pool) => ({ ...(await pool.usage()), capabilities: await pool.capabilities() }));
  }

  close(ref: PoolRef, force: boolean): Promise<void> {
    this.closed.set(ref.id, Math.max(ref.generation, this.closed.get(ref.id) ?? 0));
    return this.find(ref).close(force);
  }

  async remove(ref: PoolRef, force: boolean): Promise<void> {
    await this.find(ref).remove(force);
    this.known.delete(ref.id);
  }

  /** This process ends; pools that are open stay so. */
  leave(): void {
    for (const pool of this.known.values()) pool.leave();
  }

  /** Collects what nobody owns, pool by pool; one that cannot be reached does not keep the others. */
  async collect(refs: readonly PoolRef[], owned: { volumes: Keep; images: Keep }): Promise<PoolCollection> {
    const all = await this.home.collect(owned);
    for (const ref of refs) {
      try {
        const { removed, setAside, failed } = await (await this.opened(ref)).collect(owned);
        all.removed.push(...removed);
        all.setAside.push(...setAside);
        all.failed.push(...failed);
      } catch {
        // that it is away is told by who looks after pools; it is collected when it is back
      }
    }
    return all;
  }

  /** Who has asked before it was closed, and comes after that, must not open it again. */
  private requireNewer({ id, generation }: PoolRef): void {
    if (generation >= (this.closed.get(id) ?? 0)) return;
    throw new ApiError('pool.not_started', {
      detail: 'The storage pool was stopped meanwhile.',
      remedy: 'Start it: `flotilla pool start POOL`.',
    });
  }

  private find(ref: PoolRef): StoragePool {
    const pool = this.known.get(ref.id) ?? this.driverOf(ref);
    this.known.set(ref.id, pool);
    pool.guardPercent = ref.guardPercent;
    return pool;
  }
}
