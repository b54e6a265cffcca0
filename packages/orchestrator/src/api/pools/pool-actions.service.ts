// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { requireMatch } from '../../common/precondition.js';
import type { Executor, WriteTransaction } from '../../database/database.js';
import type { Operation, OperationKind } from '../operations/operation.js';
import { OperationsService } from '../operations/operations.service.js';
import type { DesiredPoolState, Pool, PoolState } from './pool.js';
import { PoolBuiltIn, PoolBusy, PoolInUse, PoolNotEmpty, PoolNotFound, PoolStateConflict } from './pool.errors.js';
import { PoolRepository } from './pool.repository.js';
import { PoolStates } from './pool-states.service.js';

type Verb = 'start' | 'stop' | 'refresh' | 'delete';

interface Rule {
  /** States in which it may be asked for. */
  from: readonly PoolState[];
  remedy: string;
  /** What is asked for by it; absent: what was. */
  desired?: DesiredPoolState;
  /** State while the operation runs, where it differs. */
  transient?: PoolState;
}

const RULES: Readonly<Record<Verb, Rule>> = {
  start: { from: ['stopped', 'unavailable'], remedy: 'It is started already; refresh it to look at it anew.', desired: 'started' },
  stop: { from: ['ready', 'unavailable'], remedy: 'It is stopped already.', desired: 'stopped' },
  refresh: { from: ['ready', 'unavailable'], remedy: 'Start it first.' },
  delete: {
    from: ['stopped', 'ready', 'unavailable'],
    remedy: 'Wait for the operation on it to end.',
    desired: 'stopped',
    transient: 'deleting',
  },
};

/** What pools are asked to do: each becomes a wish and an operation. */
@Injectable()
export class PoolActions {
  constructor(
    private readonly repository: PoolRepository,
    private readonly operations: OperationsService,
    private readonly states: PoolStates,
  ) {}

  start(idOrName: string, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, 'start', ifMatch);
  }

  stop(idOrName: string, force: boolean, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, 'stop', ifMatch, { force });
  }

  refresh(idOrName: string, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, 'refresh', ifMatch);
  }

  remove(idOrName: string, force: boolean, ifMatch?: string): Promise<Operation> {
    return this.act(idOrName, 'delete', ifMatch, { force });
  }

  private async act(idOrName: string, verb: Verb, ifMatch: string | undefined, input?: Record<string, unknown>): Promise<Operation> {
    const { id, name } = await this.load(idOrName);
    const kind: OperationKind = `pool.${verb}`;
    const target = { kind: 'pool' as const, id, name };
    return this.operations.submit({ kind, target, result: { poolId: id }, ...(input === undefined ? {} : { input }) }, (tx) =>
      this.wish(tx, id, verb, ifMatch),
    );
  }

  private async wish(tx: WriteTransaction, id: string, verb: Verb, ifMatch: string | undefined): Promise<void> {
    const pool = await this.load(id, tx.db);
    requireMatch('Pool', pool, ifMatch);
    if (pool.config === undefined && verb !== 'refresh') throw new PoolBuiltIn(verb);
    const open = await this.operations.openFor(id, tx.db);
    if (open !== undefined) throw new PoolBusy(pool, open);
    const { from, remedy, desired, transient } = RULES[verb];
    if (!from.includes(pool.observed.state)) throw new PoolStateConflict(pool, verb, remedy);
    await this.requireUnused(pool, verb, tx.db);
    if (desired === undefined) return;
    pool.desired = desired;
    pool.generation += 1;
    pool.updatedAt = new Date().toISOString();
    await this.states.settle(tx, pool, { ...pool.observed, ...(transient === undefined ? {} : { state: transient }) });
  }

  /** Whoever starts a machine or makes a volume looks at the pool in a transaction too, and there is one of these at a time. */
  private async requireUnused(pool: Pool, verb: Verb, db: Executor): Promise<void> {
    if (verb === 'stop') {
      const machines = await this.repository.machinesOn(pool.name, db);
      if (machines.length > 0) throw new PoolInUse(pool, machines);
    }
    if (verb === 'delete') {
      const volumes = await this.repository.volumesIn(pool.name, db);
      if (volumes.length > 0) throw new PoolNotEmpty(pool, volumes);
    }
  }

  private async load(idOrName: string, db?: Executor): Promise<Pool> {
    const pool = await this.repository.find(idOrName, db);
    if (pool === undefined) throw new PoolNotFound(idOrName);
    return pool;
  }
}
