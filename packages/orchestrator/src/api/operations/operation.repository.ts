// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Selectable, Updateable } from 'kysely';
import { Database, type Executor } from '../../database/database.js';
import type { OperationsTable } from '../../database/schema.js';
import type { PageRequest } from '../../common/paging.js';
import type { Operation } from './operation.js';

/** Where operations are kept. */
export abstract class OperationRepository {
  abstract insert(operation: Operation, db?: Executor): Promise<void>;
  abstract save(operation: Operation, db?: Executor): Promise<void>;
  abstract requestCancel(id: string): Promise<void>;
  abstract find(id: string, db?: Executor): Promise<Operation | undefined>;
  abstract findByRequest(requestId: string): Promise<Operation | undefined>;
  abstract page(request: PageRequest, filter: { target?: string; state?: string }): Promise<Operation[]>;
  /** Operations that have not ended, oldest first. */
  abstract open(): Promise<Operation[]>;
  abstract openTargets(): Promise<Set<string>>;
  abstract openFor(targetId: string, db?: Executor): Promise<Operation | undefined>;
}

@Injectable()
export class KyselyOperationRepository extends OperationRepository {
  constructor(private readonly database: Database) {
    super();
  }

  override async insert(operation: Operation, db: Executor = this.database.db): Promise<void> {
    await db.insertInto('operations').values(toRow(operation)).execute();
  }

  override async save(operation: Operation, db: Executor = this.database.db): Promise<void> {
    const { id, cancel_requested: _cancel, ...row } = toRow(operation);
    await db
      .updateTable('operations')
      .set(row satisfies Updateable<OperationsTable>)
      .where('id', '=', id)
      .execute();
  }

  override async requestCancel(id: string): Promise<void> {
    await this.database.write(({ db }) => db.updateTable('operations').set({ cancel_requested: 1 }).where('id', '=', id).execute());
  }

  override async find(id: string, db: Executor = this.database.db): Promise<Operation | undefined> {
    const row = await db.selectFrom('operations').selectAll().where('id', '=', id).executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  override async findByRequest(requestId: string): Promise<Operation | undefined> {
    const row = await this.database.db
      .selectFrom('operations')
      .selectAll()
      .where('request_id', '=', requestId)
      .orderBy('id')
      .executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }

  override async page(request: PageRequest, filter: { target?: string; state?: string }): Promise<Operation[]> {
    let query = this.database.db
      .selectFrom('operations')
      .selectAll()
      .orderBy('id')
      .limit(request.limit + 1);
    if (request.after !== undefined) query = query.where('id', '>', request.after);
    if (filter.target !== undefined) query = query.where('target_id', '=', filter.target);
    if (filter.state !== undefined) query = query.where('state', '=', filter.state);
    return (await query.execute()).map(fromRow);
  }

  override async open(): Promise<Operation[]> {
    const rows = await this.database.db
      .selectFrom('operations')
      .selectAll()
      .where('state', 'in', ['pending', 'running'])
      .orderBy('id')
      .execute();
    return rows.map(fromRow);
  }

  override async openTargets(): Promise<Set<string>> {
    const rows = await this.database.db.selectFrom('operations').select('target_id').where('state', 'in', ['pending', 'running']).execute();
    return new Set(rows.map((row) => row.target_id));
  }

  override async openFor(targetId: string, db: Executor = this.database.db): Promise<Operation | undefined> {
    const row = await db
      .selectFrom('operations')
      .selectAll()
      .where('target_id', '=', targetId)
      .where('state', 'in', ['pending', 'running'])
      .orderBy('id')
      .executeTakeFirst();
    return row === undefined ? undefined : fromRow(row);
  }
}

function toRow(operation: Operation) {
  const json = (value: unknown): string | null => (value === undefined ? null : JSON.stringify(value));
  return {
    id: operation.id,
    kind: operation.kind,
    target_kind: operation.target.kind,
    target_id: operation.target.id,
    target_name: operation.target.name ?? null,
    state: operation.state,
    phase: operation.phase,
    steps: JSON.stringify(operation.steps),
    input: JSON.stringify(operation.input),
    progress: json(operation.progress),
    result: json(operation.result),
    error: json(operation.error),
    cancel_requested: operation.cancelRequested ? 1 : 0,
    created_at: operation.createdAt,
    started_at: operation.startedAt ?? null,
    ended_at: operation.endedAt ?? null,
    requested_by: operation.requestedBy,
    request_id: operation.requestId ?? null,
  };
}

function fromRow(row: Selectable<OperationsTable>): Operation {
  const optional = <K extends string>(key: K, text: string | null) => (text === null ? {} : { [key]: JSON.parse(text) as unknown });
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    phase: row.phase,
    steps: JSON.parse(row.steps) as unknown,
    input: JSON.parse(row.input) as unknown,
    target: { kind: row.target_kind, id: row.target_id, ...(row.target_name === null ? {} : { name: row.target_name }) },
    ...optional('progress', row.progress),
    ...optional('result', row.result),
    ...optional('error', row.error),
    cancelRequested: row.cancel_requested === 1,
    createdAt: row.created_at,
    requestedBy: row.requested_by,
    ...(row.started_at === null ? {} : { startedAt: row.started_at }),
    ...(row.ended_at === null ? {} : { endedAt: row.ended_at }),
    ...(row.request_id === null ? {} : { requestId: row.request_id }),
  } as Operation;
}
