// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { KeyedQueue, Semaphore, sleep } from '../../common/async.js';
import { runInContext } from '../../common/context.js';
import { FaultPoints } from '../../common/fault.js';
import { LOG, type Log } from '../../common/log.js';
import { Database } from '../../database/database.js';
import { hasEnded, type Operation, type OperationKind, type Progress, type StepRecord } from './operation.js';
import type { Ending, OperationDefinition, Step } from './operation-definition.js';
import { OperationRepository } from './operation.repository.js';

const CONCURRENT_OPERATIONS = 16;
const PROGRESS_INTERVAL_MILLISECONDS = 250;
const UNDO_ATTEMPTS = 5;

type Waiter = () => void;

/**
 * Runs operations: the steps of one target after another, different targets side by side. Every finished step is durable
 * before the next begins, so a killed process goes on where it was:
 *
 *     pending → running: step 1 → step 2 → … → finish ─▶ succeeded
 *                          │ error or cancel
 *                          └▶ undo the steps that began, last first → finish ─▶ failed | cancelled
 */
@Injectable()
export class OperationRunner {
  private readonly definitions = new Map<OperationKind, OperationDefinition>();
  private readonly queue = new KeyedQueue();
  private readonly slots = new Semaphore(CONCURRENT_OPERATIONS);
  private readonly aborts = new Map<string, AbortController>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private readonly running = new Set<Promise<void>>();
  private stopping = false;

  constructor(private readonly repository: OperationRepository, private readonly database: Database, private readonly faults: FaultPoints, @Inject(LOG) private readonly log: Log) {}

  register(definition: OperationDefinition): void {
    this.definitions.set(definition.kind, definition);
  }

  stepNames(operation: Operation): StepRecord[] {
    return this.definition(operation).steps(operation).map((step) => ({ name: step.name, state: 'pending' }));
  }

  /** Begins an operation that is stored already. */
  enqueue(id: string, targetId: string): void {
    this.aborts.set(id, new AbortController());
    this.faults.after('operation.accept');
    const work = this.queue.run(targetId, () => this.slots.run(() => this.perform(id)))
      .catch((error: unknown) => this.log.error({ err: error, operation: id }, 'an operation could not be carried on; the next start goes on with it'))
      .finally(() => {
        this.aborts.delete(id);
        this.running.delete(work);
        this.notify(id);
      });
    this.running.add(work);
  }

  cancel(id: string): void {
    this.aborts.get(id)?.abort(cancelled());
  }

  /** Waits until an operation has ended, at most so long. */
  async waitFor(id: string, milliseconds: number): Promise<void> {
    if (!this.aborts.has(id)) return;
    await new Promise<void>((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.waiters.get(id)?.delete(done);
        resolve();
      };
      const timer = setTimeout(done, milliseconds);
      this.waiters.set(id, (this.waiters.get(id) ?? new Set()).add(done));
    });
  }

  /** Lets running steps end and begins no more; what is open goes on at the next start. */
  async stop(milliseconds: number): Promise<void> {
    this.stopping = true;
    await Promise.race([Promise.allSettled(this.running), sleep(milliseconds)]);
  }

  private async perform(id: string): Promise<void> {
    const operation = await this.repository.find(id);
    if (operation === undefined || hasEnded(operation) || this.stopping) return;
    await runInContext({ requestId: operation.requestId ?? operation.id }, () => this.advance(operation));
  }

  private async advance(operation: Operation): Promise<void> {
    const steps = this.definition(operation).steps(operation);
    const signal = this.aborts.get(operation.id)?.signal ?? new AbortController().signal;
    if (operation.cancelRequested) this.cancel(operation.id);
    let failure = operation.phase === 'undo' ? ApiError.fromProblem(operation.error ?? cancelled().toProblem()) : undefined;
    if (failure === undefined) {
      try {
        const finished = await this.forward(operation, steps, signal);
        if (!finished) return;
        await this.end(operation, { state: 'succeeded' });
        return;
      } catch (error) {
        failure = signal.aborted ? cancelled() : ApiError.from(error);
        if (failure.code === 'internal') this.log.error({ err: error, operation: operation.id }, 'an operation failed');
      }
      operation.phase = 'undo';
      operation.error = failure.toProblem(operation.requestId);
      await this.save(operation);
    }
    await this.backward(operation, steps);
    if (this.stopping && operation.steps.some((record) => record.state === 'running')) return;
    await this.end(operation, { state: failure.code === 'operation.cancelled' ? 'cancelled' : 'failed', error: failure });
  }

  private async forward(operation: Operation, steps: readonly Step[], signal: AbortSignal): Promise<boolean> {
    operation.state = 'running';
    operation.startedAt ??= now();
    for (const [index, step] of steps.entries()) {
      const record = operation.steps[index] ?? { name: step.name, state: 'pending' };
      operation.steps[index] = record;
      if (record.state === 'succeeded') continue;
      if (this.stopping) return false;
      signal.throwIfAborted();
      record.state = 'running';
      record.startedAt ??= now();
      // One commit a step: it records the end of the step before together with the begin of this one.
      await this.save(operation, step.name);
      this.faults.after(`${operation.kind}.${step.name}.begin`);
      await this.runStep(operation, step, record, signal);
      this.faults.after(`${operation.kind}.${step.name}`);
    }
    return true;
  }

  private async runStep(operation: Operation, step: Step, record: StepRecord, signal: AbortSignal): Promise<void> {
    const progress = new ProgressWriter(operation, () => this.save(operation, step.name), this.log);
    try {
      await step.run({ operation, signal, progress: (value) => progress.report(value) });
      record.state = 'succeeded';
    } catch (error) {
      record.state = 'failed';
      throw error;
    } finally {
      await progress.settle();
      record.endedAt = now();
      delete operation.progress;
    }
  }

  private async backward(operation: Operation, steps: readonly Step[]): Promise<void> {
    for (const [index, step] of [...steps.entries()].reverse()) {
      const record = operation.steps[index];
      if (record === undefined) continue;
      if (record.state === 'pending') record.state = 'skipped';
      if (record.state === 'skipped' || record.state === 'undone') continue;
      if (step.undo !== undefined) {
        await this.undo(step, operation);
        record.state = record.state === 'succeeded' ? 'undone' : 'failed';
      }
      await this.save(operation, step.name);
      this.faults.after(`${operation.kind}.undo-${step.name}`);
    }
  }

  private async undo(step: Step, operation: Operation): Promise<void> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        await step.undo?.(operation);
        return;
      } catch (error) {
        this.log.warn({ err: error, operation: operation.id, step: step.name, attempt }, 'a step could not be taken back');
        if (attempt >= UNDO_ATTEMPTS) return; // the garbage collector removes what nobody owns
        await sleep(100 * attempt);
      }
    }
  }

  private async end(operation: Operation, ending: Ending): Promise<void> {
    operation.state = ending.state;
    operation.endedAt = now();
    delete operation.progress;
    await this.database.write(async (tx) => {
      await this.definition(operation).finish(operation, ending, tx);
      await this.repository.save(operation, tx.db);
      tx.emit(operationEvent(operation));
    });
    this.faults.after(`${operation.kind}.end`);
  }

  private async save(operation: Operation, step?: string): Promise<void> {
    await this.database.write(async (tx) => {
      await this.repository.save(operation, tx.db);
      tx.emit(operationEvent(operation, step));
    });
  }

  private definition(operation: Operation): OperationDefinition {
    const definition = this.definitions.get(operation.kind);
    if (definition === undefined) throw new Error(`No definition for operations of kind ${operation.kind}`);
    return definition;
  }

  private notify(id: string): void {
    const waiting = this.waiters.get(id);
    this.waiters.delete(id);
    for (const done of waiting ?? []) done();
  }
}

/** Writes progress now and then, never two writes at once, and none after `settle`. */
class ProgressWriter {
  private last = 0;
  private writing: Promise<void> | undefined;

  constructor(private readonly operation: Operation, private readonly save: () => Promise<void>, private readonly log: Log) {}

  report(progress: Progress): void {
    if (this.writing !== undefined || performance.now() - this.last < PROGRESS_INTERVAL_MILLISECONDS) return;
    this.last = performance.now();
    const { bytes = 0, totalBytes = 0 } = progress;
    this.operation.progress = { ...progress, ...(totalBytes === 0 ? {} : { percent: Math.floor((bytes / totalBytes) * 100) }) };
    this.writing = this.save()
      .catch((error: unknown) => this.log.warn({ err: error, operation: this.operation.id }, 'progress could not be stored'))
      .finally(() => { this.writing = undefined; });
  }

  async settle(): Promise<void> {
    await this.writing;
  }
}

function operationEvent(operation: Operation, step?: string) {
  return {
    kind: 'operation.updated' as const,
    target: { kind: 'operation' as const, id: operation.id },
    data: { kind: operation.kind, state: operation.state, ...(step === undefined ? {} : { step }), ...(operation.progress === undefined ? {} : { progress: operation.progress }) },
  };
}

function cancelled(): ApiError {
  return new ApiError('operation.cancelled', { detail: 'The operation was cancelled and taken back.', remedy: 'Ask again when it is wanted after all.' });
}

function now(): string {
  return new Date().toISOString();
}
