// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Inject, Injectable } from '@nestjs/common';
import type { ExpressionBuilder } from 'kysely';
import { AUDIT_OUTCOMES, type AuditOutcome } from '../audit/dto/audit.dto.js';
import { firstIdAt } from '../../common/ids.js';
import { LOG, type Log } from '../../common/log.js';
import { Config, type RetentionBounds } from '../../config/config.js';
import { Database, type Executor } from '../../database/database.js';
import type { Schema } from '../../database/schema.js';

/** Rows of one transaction: so few that no other writer waits for long. */
const BATCH_ROWS = 500;
const DAY_MILLISECONDS = 24 * 3600 * 1000;
/** What is younger stays whatever the count says: its client may be about to read it. */
const GRACE_MILLISECONDS = 60_000;

/** Audit records with a bound of their own. */
interface AuditGroup {
  outcome: AuditOutcome;
  /** Of requests without a valid key. */
  anonymous: boolean;
}

/** Removes at most BATCH_ROWS rows below an id, oldest first; answers how many. */
type RemoveBatch = (db: Executor, cutoff: string) => Promise<number>;

/**
 * Keeps ended operations, and audit records of each outcome (of requests without a valid key apart), within a count and an age. Ids begin with the time of their making, so both bounds
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
    // Each group for itself: refused requests push out no record of a change, and those without a key none of anybody's at all.
    for (const outcome of AUDIT_OUTCOMES)
      for (const anonymous of [false, true])
        await this.bound('audit', 'req', this.config.keepAudit, removeAudit({ outcome, anonymous }), { outcome, anonymous });
  }

  private async bound(
    table: 'operations' | 'audit',
    prefix: 'op' | 'req',
    { count, days }: RetentionBounds,
    remove: RemoveBatch,
    group?: AuditGroup,
  ): Promise<void> {
    const tooOld = firstIdAt(prefix, Date.now() - days * DAY_MILLISECONDS);
    const grace = firstIdAt(prefix, Date.now() - GRACE_MILLISECONDS);
    const tooMany = least(await this.nth(table, count, group), grace);
    const cutoff = tooMany > tooOld ? tooMany : tooOld;
    let total = 0;
    for (let removed = BATCH_ROWS; removed === BATCH_ROWS; total += removed) {
      removed = await remove(this.database.db, cutoff);
      await nextTurn(); // requests come between two batches
    }
    if (total > 0) this.log.debug({ table, rows: total }, 'removed old rows');
  }

  /** Id of the last row that the count keeps; the empty text when there are not so many. */
  private async nth(table: 'operations' | 'audit', count: number, group?: AuditGroup): Promise<string> {
    const { db } = this.database;
    const rows = group === undefined ? db.selectFrom(table).select('id') : db.selectFrom('audit').select('id').where(within(group));
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

function within({ outcome, anonymous }: AuditGroup) {
  return (where: ExpressionBuilder<Schema, 'audit'>) =>
    where.and([where('outcome', '=', outcome), where('actor_id', anonymous ? 'is' : 'is not', null)]);
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

function removeAudit(group: AuditGroup): RemoveBatch {
  return async (db, cutoff) => {
    const ids = db.selectFrom('audit').select('id').where(within(group)).where('id', '<', cutoff).orderBy('id').limit(BATCH_ROWS);
    return Number((await db.deleteFrom('audit').where('id', 'in', ids).executeTakeFirst()).numDeletedRows);
  };
}
