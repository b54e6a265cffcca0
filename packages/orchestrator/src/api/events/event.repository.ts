// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { FlotillaEvent } from '../../common/event.js';
import { Database } from '../../database/database.js';

/** Where events are kept: the last ones only. */
@Injectable()
export class EventRepository {
  constructor(private readonly database: Database) {}

  /** Events after a number, in order. */
  async after(seq: number, limit: number): Promise<FlotillaEvent[]> {
    const rows = await this.database.db.selectFrom('events').selectAll().where('seq', '>', seq).orderBy('seq').limit(limit).execute();
    return rows.map(
      (row) =>
        ({
          id: row.seq,
          kind: row.kind,
          time: row.time,
          target: { kind: row.target_kind, id: row.target_id, ...(row.target_name === null ? {} : { name: row.target_name }) },
          data: JSON.parse(row.data) as unknown,
          ...(row.request_id === null ? {} : { requestId: row.request_id }),
        }) as FlotillaEvent,
    );
  }

  /** First and last number kept; both 0 when there is none. */
  async bounds(): Promise<{ first: number; last: number }> {
    const row = await this.database.db
      .selectFrom('events')
      .select((w) => [w.fn.min('seq').as('first'), w.fn.max('seq').as('last')])
      .executeTakeFirst();
    return { first: Number(row?.first ?? 0), last: Number(row?.last ?? 0) };
  }

  /** Drops all but the last `keep` events. */
  async prune(keep: number): Promise<void> {
    const { last } = await this.bounds();
    if (last > keep)
      await this.database.db
        .deleteFrom('events')
        .where('seq', '<=', last - keep)
        .execute();
  }
}
