// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import { AUDIT_OUTCOMES, type AuditOutcome } from '../audit/dto/audit.dto.js';
import { firstIdAt } from '../../common/ids.js';
import { LOG, type Log } from '../../common/log.js';
import { Config, type RetentionBounds } from '../../config/config.js';
import { Database, type Executor } from '../../database/database.js';

/** Rows of one transaction: so few that no other writer waits for long. */
const BATCH_ROWS = 500;
const DAY_MILLISECONDS = 24 * 3600 * 1000;
/** What is younger stays whatever the count says: its client may be about to read it. */
const GRACE_MILLISECONDS = 60_000;

/** Removes at most BATCH_ROWS rows below an id, oldest first; answers how many. */
type RemoveBatch = (db: Executor, cutoff: string) => Promise<number>;

/**
 * Keeps ended operations, and audit records of each outcome, within a count and an age. Ids begin with the time of their making, so both bounds
 * become one id, and a run touches only the rows it removes. Operations that have not ended are left alone.
 */
@Injectable()
export class Retention {
  constructor(
    private readonly database: Database,
    private readonly config: Config,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async prune(): Promise<void> {
    await this.bound('operations', 'op', this.config.keepOperations, removeOperations);
    // Each outcome for itself: whoever sends refused requests, even without a key, pushes out none of the changes that were made.
    for (const outcome of AUDIT_OUTCOMES) await this.bound('audit', 'req', this.config.keepAudit, removeAudit(outcome), outcome);
  }

  private async bound(
    table: 'operations' | 'audit',
    prefix: 'op' | 'req',
    { count, days }: RetentionBounds,
    remove: RemoveBatch,
    outcome?: AuditOutcome,
  ): Promise<void> {
    const tooOld = firstIdAt(prefix, Date.now() - days * DAY_MILLISECONDS);
    const grace = firstIdAt(prefix, Date.now() - GRACE_MILLISECONDS);
    const tooMany = least(await this.nth(table, count, outcome), grace);
    const cutoff = tooMany > tooOld ? tooMany : tooOld;
    let total = 0;
    for (let removed = BATCH_ROWS; removed === BATCH_ROWS; total += removed) {
      removed = await remove(this.database.db, cutoff);
      await nextTurn(); // requests come between two batches
    }
    if (total > 0) this.log.debug({ table, rows: total }, 'removed old rows');
  }

  /** Id of the last row that the count keeps; the empty text when there are not so many. */
  private async nth(table: 'operations' | 'audit', count: number, outcome?: AuditOutcome): Promise<string> {
    const { db } = this.database;
    const rows =
      outcome === undefined ? db.selectFrom(table).select('id') : db.selectFrom('audit').select('id').where('outcome', '=', outcome);
    return (
      (
        await rows
          .orderBy('id', 'desc')
          .limit(1)
          .offset(count - 1)
          .executeTakeFirst()
      )?.id ?? ''
    );
  }
}

function least(a: string, b: string): string {
  return a < b ? a : b;
}

async function removeOperations(db: Executor, cutoff: string): Promise<number> {
  const ids = db
    .selectFrom('operations')
    .select('id')
    .where('id', '<', cutoff)
    .where('state', 'in', ['succeeded', 'failed', 'cancelled'])
    .orderBy('id')
    .limit(BATCH_ROWS);
  return Number((await db.deleteFrom('operations').where('id', 'in', ids).executeTakeFirst()).numDeletedRows);
}

function removeAudit(outcome: AuditOutcome): RemoveBatch {
  return async (db, cutoff) => {
    const ids = db.selectFrom('audit').select('id').where('outcome', '=', outcome).where('id', '<', cutoff).orderBy('id').limit(BATCH_ROWS);
    return Number((await db.deleteFrom('audit').where('id', 'in', ids).executeTakeFirst()).numDeletedRows);
  };
}
