// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { Database, isUniqueViolation } from '../../database/database.js';
import { OperationsService } from '../operations/operations.service.js';

/** How long the first answer to an idempotency key is given again; the API document tells it. */
export const KEEP_IDEMPOTENCY_HOURS = 48;

/** The methods that take a key. An upload (PUT) takes none: its content would have to be compared. */
const METHODS: readonly string[] = ['POST', 'PATCH', 'DELETE'];

/** Whether requests of that method take an `Idempotency-Key`. */
export function takesIdempotencyKey(method: string): boolean {
  return METHODS.includes(method.toUpperCase());
}

/** What is known about a key. */
export type Known = { state: 'new' } | { state: 'in_flight' | 'done'; fingerprint: string; status: number; body: unknown };

/** Remembers the first answer to each idempotency key. */
@Injectable()
export class IdempotencyStore {
  constructor(
    private readonly database: Database,
    private readonly operations: OperationsService,
  ) {}

  /** Takes a key for this request, or tells what the first request with it came to. */
  async claim(principal: string, key: string, fingerprint: string, requestId: string): Promise<Known> {
    try {
      // Whatever the request comes to is on the disk only after this: a power cut cannot keep that and lose the key.
      await this.database.write(
        ({ db }) =>
          db
            .insertInto('idempotency')
            .values({
              principal,
              key,
              fingerprint,
              state: 'in_flight',
              status: null,
              body: null,
              request_id: requestId,
              created_at: new Date().toISOString(),
            })
            .execute(),
        'process',
      );
      return { state: 'new' };
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
    }
    const row = await this.database.db
      .selectFrom('idempotency')
      .selectAll()
      .where('principal', '=', principal)
      .where('key', '=', key)
      .executeTakeFirst();
    if (row === undefined) return { state: 'in_flight', fingerprint, status: 0, body: undefined };
    return {
      state: row.state === 'done' ? 'done' : 'in_flight',
      fingerprint: row.fingerprint,
      status: row.status ?? 0,
      body: row.body === null ? undefined : (JSON.parse(row.body) as unknown),
    };
  }

  /** On the disk with the audit record, which is written after it and before the answer. */
  async complete(principal: string, key: string, status: number, body: unknown): Promise<void> {
    const answer = { state: 'done', status, body: JSON.stringify(body ?? null) };
    await this.database.write(
      ({ db }) => db.updateTable('idempotency').set(answer).where('principal', '=', principal).where('key', '=', key).execute(),
      'process',
    );
  }

  /** Forgets a key whose request was refused: a mended request may use it. */
  async forget(principal: string, key: string): Promise<void> {
    await this.database.write(
      ({ db }) => db.deleteFrom('idempotency').where('principal', '=', principal).where('key', '=', key).execute(),
      'process',
    );
  }

  /** After a crash: requests that got as far as an operation are done; nothing tells of the others, so their keys are free again. */
  async settleInterrupted(): Promise<void> {
    const rows = await this.database.db.selectFrom('idempotency').selectAll().where('state', '=', 'in_flight').execute();
    for (const row of rows) {
      const operation = await this.operations.findByRequest(row.request_id);
      if (operation === undefined) await this.forget(row.principal, row.key);
      else await this.complete(row.principal, row.key, 202, operation);
    }
  }

  async prune(): Promise<void> {
    const limit = new Date(Date.now() - KEEP_IDEMPOTENCY_HOURS * 3600 * 1000).toISOString();
    await this.database.db.deleteFrom('idempotency').where('created_at', '<', limit).where('state', '=', 'done').execute();
  }
}
