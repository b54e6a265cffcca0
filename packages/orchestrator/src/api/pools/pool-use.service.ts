// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { DRIVERS, type PoolCapability, type PoolRef } from '../../common/pool.js';
import { Database, type Executor } from '../../database/database.js';
import { HostAgent } from '../../host-agent/host-agent.js';
import { DEFAULT_POOL, type Pool, refOf } from './pool.js';
import { PoolNotFound, PoolNotStarted, PoolOvercommitted, PoolUnsupported } from './pool.errors.js';
import { PoolRepository } from './pool.repository.js';

/** A volume that is to be made, or to grow. */
export interface Wanted {
  pool: string;
  bytes: number;
  field: string;
}

/** What volumes and machines ask of pools. */
@Injectable()
export class PoolUse {
  /** Bytes by which volumes grow at this moment, by the name of their pool: they are not stored before it is done. */
  private readonly growing = new Map<string, number>();

  constructor(
    private readonly repository: PoolRepository,
    private readonly agent: HostAgent,
    private readonly database: Database,
  ) {}

  /** A pool in which a volume can be made now. */
  async resolve(idOrName: string, field: string): Promise<Pool> {
    const pool = await this.load(idOrName, { field });
    requireStarted(pool, field);
    return pool;
  }

  /** How the host is told of the pool of a volume. */
  async refOf(name: string): Promise<PoolRef | undefined> {
    return name === DEFAULT_POOL ? undefined : refOf(await this.load(name, {}));
  }

  /** Pools for the host to look into. */
  async startedRefs(): Promise<PoolRef[]> {
    const started = (await this.repository.all()).filter((pool) => pool.desired === 'started' && !isPassing(pool));
    return started.map(refOf).filter((ref) => ref !== undefined);
  }

  /** Fails unless each of these pools is started. */
  async requireStarted(names: Iterable<string>, db?: Executor, field?: string): Promise<void> {
    for (const name of new Set(names)) {
      if (name !== DEFAULT_POOL) requireStarted(await this.load(name, { field, db }), field);
    }
  }

  /** Fails with what could, unless the driver of a pool can do something. */
  requireCapability(pool: Pick<Pool, 'name' | 'kind'>, capability: PoolCapability, field: string): void {
    if (!DRIVERS[pool.kind].includes(capability)) throw new PoolUnsupported(pool, capability, field);
  }

  /** The capacity of a pool that bounds what it promises; `undefined`: it does not. Asked before the transaction that checks it. */
  async boundOf(name: string): Promise<number | undefined> {
    const pool = await this.load(name, {});
    if (pool.overcommitRatio === undefined) return undefined;
    const ref = refOf(pool);
    return (await this.agent.poolUsage(ref === undefined ? {} : { pool: ref })).capacityBytes;
  }

  /** Fails unless a pool of that capacity may promise so much more; in the transaction that stores the volume. */
  async requireRoom({ pool: name, bytes: wanted, field }: Wanted, capacityBytes: number | undefined, db: Executor): Promise<void> {
    if (capacityBytes === undefined) return;
    const pool = await this.load(name, { db });
    const stored = (await this.repository.promises(db)).get(name)?.bytes ?? 0;
    if (pool.overcommitRatio === undefined) return;
    const promised = stored + (this.growing.get(name) ?? 0);
    const allowed = Math.floor(capacityBytes * pool.overcommitRatio);
    if (promised + wanted > allowed) throw new PoolOvercommitted(pool, { promised, wanted, allowed }, field);
  }

  /** Grows a volume by so many bytes, if its pool may promise them: who asks meanwhile counts them. */
  async whileGrowing<T>(wanted: Wanted, grow: () => Promise<T>): Promise<T> {
    const { pool, bytes } = wanted;
    const bound = bytes > 0 ? await this.boundOf(pool) : undefined;
    if (bound === undefined) return grow();
    const count = (more: number) => this.growing.set(pool, (this.growing.get(pool) ?? 0) + more);
    let counted = 0;
    try {
      // In a transaction, though nothing is written: nobody else looks or stores between the look and the count.
      await this.database.write(async (tx) => {
        await this.requireRoom(wanted, bound, tx.db);
        count(bytes);
        counted = bytes;
      }, 'process');
      return await grow();
    } finally {
      count(-counted);
    }
  }

  private async load(idOrName: string, { field, db }: { field?: string | undefined; db?: Executor | undefined }): Promise<Pool> {
    const pool = await this.repository.find(idOrName, db);
    if (pool === undefined) throw new PoolNotFound(idOrName, field);
    return pool;
  }
}

function isPassing({ observed: { state } }: Pool): boolean {
  return state === 'creating' || state === 'deleting';
}

function requireStarted(pool: Pool, field?: string): void {
  if (pool.desired !== 'started' || isPassing(pool)) throw new PoolNotStarted(pool, field);
}
