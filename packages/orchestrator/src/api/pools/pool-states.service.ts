// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { ApiError } from '../../common/api-error.js';
import type { WriteTransaction } from '../../database/database.js';
import type { PoolFacts } from '../../host-agent/host-agent.js';
import { type Pool, type PoolObserved, type PoolReason, poolTarget } from './pool.js';
import { PoolRepository } from './pool.repository.js';

/** Stores what is seen of pools, and tells of what has changed. */
@Injectable()
export class PoolStates {
  constructor(private readonly repository: PoolRepository) {}

  /** Stores what was seen together with what was asked for. */
  async settle(tx: WriteTransaction, pool: Pool, observed: PoolObserved, space?: PoolFacts): Promise<void> {
    const before = pool.observed;
    pool.observed = observed;
    await this.repository.save(pool, tx.db);
    const target = poolTarget(pool);
    const { state, reason } = observed;
    if (state !== before.state)
      tx.emit({
        kind: 'pool.state',
        target,
        data: { state, previous: before.state, ...(reason === undefined ? {} : { reason }) },
      });
    if (space === undefined || observed.guarded === before.guarded) return;
    const { availableBytes, capacityBytes } = space;
    tx.emit({ kind: 'pool.guard', target, data: { reached: observed.guarded, availableBytes, capacityBytes } });
  }
}

/** A pool that was opened. */
export function seenReady({ capabilities, availableBytes }: PoolFacts): PoolObserved {
  return { state: 'ready', capabilities, guarded: availableBytes === 0 };
}

/** A pool that could not be. */
export function seenAway({ observed }: Pool, error: ApiError): PoolObserved {
  return { ...observed, state: 'unavailable', reason: reasonOf(error) };
}

export function seenStopped({ observed: { reason: _reason, ...observed } }: Pool): PoolObserved {
  return { ...observed, state: 'stopped', guarded: false };
}

export function reasonOf({ code, message: detail, remedy }: ApiError): PoolReason {
  return { code, detail, remedy };
}
