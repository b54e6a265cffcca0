// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { Inject, Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { LOG, type Log } from '../../common/log.js';
import { Database } from '../../database/database.js';
import { HostAgent, type PoolFacts } from '../../host-agent/host-agent.js';
import { OperationsService } from '../operations/operations.service.js';
import { type Pool, type PoolObserved, refOf } from './pool.js';
import { PoolRepository } from './pool.repository.js';
import { PoolStates, seenAway, seenReady, seenStopped } from './pool-states.service.js';

/** Opens the pools that are to be started, and notes which cannot be reached and which are filling. Takes no input; may be killed anywhere. */
@Injectable()
export class PoolsReconciler {
  constructor(
    private readonly repository: PoolRepository,
    private readonly operations: OperationsService,
    private readonly states: PoolStates,
    private readonly database: Database,
    private readonly agent: HostAgent,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async reconcile(): Promise<void> {
    await Promise.all((await this.repository.all()).filter(isWanted).map((pool) => this.converge(pool)));
  }

  /** The host was started anew: pools are started, or not, as their owners wished for that. May be done again. */
  async noteHostReboot(): Promise<void> {
    await this.database.write(async (tx) => {
      for (const pool of await this.repository.all(tx.db)) {
        if (pool.config === undefined || !isSettled(pool)) continue;
        pool.desired = pool.autostart ? 'started' : 'stopped';
        await this.states.settle(tx, pool, pool.autostart ? pool.observed : seenStopped(pool));
      }
    });
  }

  private async converge(pool: Pool): Promise<void> {
    try {
      const { observed, facts } = await this.look(pool);
      if (!isDeepStrictEqual(observed, pool.observed)) await this.note(pool.id, observed, facts);
    } catch (error) {
      this.log.warn({ err: error, pool: pool.id }, 'a pool could not be reconciled; the next run tries again');
    }
  }

  private async look(pool: Pool): Promise<{ observed: PoolObserved; facts?: PoolFacts }> {
    const ref = refOf(pool);
    try {
      const facts =
        ref === undefined
          ? { ...(await this.agent.poolUsage({})), capabilities: pool.observed.capabilities }
          : await this.agent.openPool(ref);
      return { observed: seenReady(facts), facts };
    } catch (error) {
      const known = ApiError.from(error);
      // An agent that is away says nothing of the pool.
      if (known.code === 'host.unavailable' || ref === undefined) throw error;
      return { observed: seenAway(pool, known) };
    }
  }

  /** Stores it unless somebody has asked for something else meanwhile. */
  private async note(id: string, observed: PoolObserved, facts: PoolFacts | undefined): Promise<void> {
    await this.database.write(async (tx) => {
      const pool = await this.repository.find(id, tx.db);
      if (pool === undefined || !isWanted(pool)) return;
      if ((await this.operations.openFor(id, tx.db)) === undefined) await this.states.settle(tx, pool, observed, facts);
    });
  }
}

function isSettled({ observed: { state } }: Pool): boolean {
  return state !== 'creating' && state !== 'deleting';
}

function isWanted(pool: Pool): boolean {
  return pool.desired === 'started' && isSettled(pool);
}
