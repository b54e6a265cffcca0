// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { currentContext } from '../../common/context.js';
import type { Target } from '../../common/event.js';
import { newId } from '../../common/ids.js';
import { type Page, pageRequest, toPage } from '../../common/paging.js';
import { Database, type Executor, type WriteTransaction } from '../../database/database.js';
import { mayCancel, type OperationDto, type OperationQuery, toOperationDto } from './dto/operation.dto.js';
import type { Operation, OperationKind } from './operation.js';
import { OperationRepository } from './operation.repository.js';
import { OperationRunner } from './operation-runner.js';

/** A change to be made. */
export interface OperationRequest {
  kind: OperationKind;
  target: Target;
  input?: Record<string, unknown>;
  result?: Record<string, unknown>;
}

@Injectable()
export class OperationsService {
  constructor(
    private readonly repository: OperationRepository,
    private readonly runner: OperationRunner,
    private readonly database: Database,
  ) {}

  /**
   * Stores an operation together with what `prepare` writes, then begins it. It begins before the disk has it: a power cut
   * in between ends what it began as well. The answer of the request waits for the disk, with the audit record.
   */
  async submit(request: OperationRequest, prepare: (tx: WriteTransaction, operation: Operation) => Promise<void>): Promise<Operation> {
    const operation = this.make(request);
    await this.database.write(async (tx) => {
      await prepare(tx, operation);
      await this.repository.insert(operation, tx.db);
      tx.emit({
        kind: 'operation.created',
        target: { kind: 'operation', id: operation.id },
        data: { kind: operation.kind, state: operation.state },
      });
    }, 'process');
    this.runner.enqueue(operation.id, operation.target.id);
    return operation;
  }

  async get(id: string): Promise<Operation> {
    const operation = await this.repository.find(id);
    if (operation === undefined) {
      throw new ApiError('operation.not_found', {
        detail: `There is no operation ${id}, or it ended long ago and is no longer kept.`,
        remedy: 'List the operations: GET /v1/operations; look at the resource itself.',
      });
    }
    return operation;
  }

  async list(query: OperationQuery): Promise<Page<OperationDto>> {
    const request = pageRequest(query);
    const rows = await this.repository.page(request, {
      ...(query.target === undefined ? {} : { target: query.target }),
      ...(query.state === undefined ? {} : { state: query.state }),
    });
    return toPage(rows, request.limit, (row) => row.id, toOperationDto);
  }

  async cancel(id: string): Promise<Operation> {
    const operation = await this.get(id);
    if (!mayCancel(operation)) {
      throw new ApiError('operation.not_cancellable', {
        detail: `Operation ${id} (${operation.kind}) is ${operation.state} and cannot be cancelled.`,
        remedy: 'Look at the resource and change it back if it is not what you want.',
      });
    }
    await this.repository.requestCancel(id);
    this.runner.cancel(id);
    return this.get(id);
  }

  /** The operation that has not ended on a resource, if there is one. */
  openFor(targetId: string, db?: Executor): Promise<Operation | undefined> {
    return this.repository.openFor(targetId, db);
  }

  /** Ids of all resources with an operation that has not ended. */
  openTargets(): Promise<Set<string>> {
    return this.repository.openTargets();
  }

  findByRequest(requestId: string): Promise<Operation | undefined> {
    return this.repository.findByRequest(requestId);
  }

  /** Waits for the end, at most so long, and reads it again. */
  async wait(id: string, seconds: number): Promise<Operation> {
    await this.runner.waitFor(id, seconds * 1000);
    return this.get(id);
  }

  /** What a stop or crash of the process interrupted, oldest first. Clients can wait for it before it goes on. */
  async interrupted(): Promise<Operation[]> {
    const operations = await this.repository.open();
    for (const { id } of operations) this.runner.expect(id);
    return operations;
  }

  /** Goes on with it. */
  resume(interrupted: readonly Operation[]): void {
    for (const operation of interrupted) this.runner.enqueue(operation.id, operation.target.id, true);
  }

  private make(request: OperationRequest): Operation {
    const context = currentContext();
    const operation: Operation = {
      id: newId('op'),
      kind: request.kind,
      target: request.target,
      state: 'pending',
      phase: 'forward',
      steps: [],
      input: request.input ?? {},
      cancelRequested: false,
      createdAt: new Date().toISOString(),
      requestedBy: context?.principal?.name ?? 'system',
      ...(context === undefined ? {} : { requestId: context.requestId }),
      ...(request.result === undefined ? {} : { result: request.result }),
    };
    operation.steps = this.runner.stepNames(operation);
    return operation;
  }
}
