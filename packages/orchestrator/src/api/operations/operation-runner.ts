// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { ApiError } from '../../common/api-error.js';
import { KeyedQueue, Semaphore, sleep, untilDone } from '../../common/async.js';
import { runInContext } from '../../common/context.js';
import { FaultPoints } from '../../common/fault.js';
import { LOG, type Log } from '../../common/log.js';
import { Database } from '../../database/database.js';
import { hasEnded, type Operation, type OperationKind, type Progress, type StepRecord } from './operation.js';
import type { Ending, OperationDefinition, Step } from './operation-definition.js';
import { OperationJournal } from './operation-journal.js';
import { OperationRepository } from './operation.repository.js';

/** Operations of one lane at once. */
const CONCURRENT_OPERATIONS = 16;
/** Copies of images: more at once only make each other slower. */
const CONCURRENT_COPIES = 8;
const PROGRESS_INTERVAL_MILLISECONDS = 250;
const UNDO_ATTEMPTS = 5;

/** What others never wait for: an operation that ends a machine or holds it needs no other machine to have started. */
const LANES: Partial<Record<OperationKind, Lane>> = {
  'machine.kill': 'end',
  'machine.stop': 'end',
  'machine.delete': 'end',
  'machine.pause': 'hold',
  'machine.resume': 'hold',
};

type Lane = 'make' | 'hold' | 'end';
type Waiter = () => void;

/** An operation while it runs. */
interface Run {
  operation: Operation;
  steps: readonly Step[];
  journal: OperationJournal;
  /** Begun by a process before this one: its record may be older than what was done. */
  resumed: boolean;
}

/**
 * Runs operations: the steps of one target after another, different targets side by side, those that end machines in a lane of
 * their own: many starts that take long keep nobody from a kill. An operation and its end are on
 * the disk before anybody is told of them; the steps between are recorded behind (see the journal) and can be repeated,
 * so a killed process goes on where its record says:
 *
 *     pending → running: step 1 → step 2 → … → finish ─▶ succeeded
 *                          │ error or cancel
 *                          └▶ undo the steps that began, last first → finish ─▶ failed | cancelled
 */
@Injectable()
export class OperationRunner {
  private readonly definitions = new Map<OperationKind, OperationDefinition>();
  private readonly queue = new KeyedQueue();
  private readonly lanes: Record<Lane, Semaphore> = {
    make: new Semaphore(CONCURRENT_OPERATIONS),
    hold: new Semaphore(CONCURRENT_OPERATIONS),
    end: new Semaphore(CONCURRENT_OPERATIONS),
  };
  private readonly copies = new Semaphore(CONCURRENT_COPIES);
  private readonly aborts = new Map<string, AbortController>();
  private readonly waiters = new Map<string, Set<Waiter>>();
  private readonly running = new Set<Promise<void>>();
  private readonly stopped = new AbortController();

  constructor(
    readonly repository: OperationRepository,
    readonly database: Database,
    private readonly faults: FaultPoints,
    @Inject(LOG) readonly log: Log,
  ) {}

  register(definition: OperationDefinition): void {
    this.definitions.set(definition.kind, definition);
  }

  stepNames(operation: Operation): StepRecord[] {
    return this.definition(operation)
      .steps(operation)
      .map((step) => ({ name: step.name, state: 'pending' }));
  }

  /** An operation that will begin: it can be waited for and cancelled from now on. */
  expect(id: string): void {
    if (!this.aborts.has(id)) this.aborts.set(id, new AbortController());
  }

  /** Begins an operation that is stored already; a second time does nothing, since it ends before its turn comes; `resumed` when a process before this one may have begun it. */
  enqueue(id: string, targetId: string, resumed = false): void {
    this.expect(id);
    this.faults.after('operation.accept');
    const work = this.queue
      .run(targetId, () => this.carryThrough(id, resumed))
      .catch(() => undefined) // rejects on a stop alone
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
    this.stopped.abort();
    await Promise.race([Promise.allSettled(this.running), sleep(milliseconds)]);
  }

  private get stopping(): boolean {
    return this.stopped.signal.aborted;
  }

  /** Performs an operation until it has ended: when its record cannot be written, it goes on from there as after a crash. */
  private async carryThrough(id: string, resumed: boolean): Promise<void> {
    let begun = resumed;
    const attempt = () => this.perform(id, begun);
    await untilDone(attempt, this.stopped.signal, (error) => {
      begun = true;
      this.log.error({ err: error, operation: id }, 'an operation could not be carried on; the next attempt comes soon');
    });
  }

  private async perform(id: string, resumed: boolean): Promise<void> {
    const operation = await this.repository.find(id);
    if (operation === undefined || hasEnded(operation)) return;
    await this.laneOf(operation).run(() => this.performNow(operation, resumed));
  }

  private async performNow(operation: Operation, resumed: boolean): Promise<void> {
    if (this.stopping) return;
    const journal = new OperationJournal(operation, this);
    const run = { operation, steps: this.definition(operation).steps(operation), journal, resumed };
    await runInContext({ requestId: operation.requestId ?? operation.id }, () => this.advance(run)).finally(() => journal.settle());
  }

  private async advance(run: Run): Promise<void> {
    const { operation, journal } = run;
    const signal = this.aborts.get(operation.id)?.signal ?? new AbortController().signal;
    if (operation.cancelRequested) this.cancel(operation.id);
    let failure = operation.phase === 'undo' ? ApiError.fromProblem(operation.error ?? cancelled().toProblem()) : undefined;
    if (failure === undefined) {
      let done = false;
      try {
        done = await this.forward(run, signal);
        if (done) await this.end(run, { state: 'succeeded' });
        return;
      } catch (error) {
        // Whether a commit that was lost was made is not known, so what is done is not taken back for it: the end is tried again.
        if (done && ApiError.from(error).code === 'internal') throw error;
        failure = signal.aborted ? cancelled() : ApiError.from(error);
        if (failure.code === 'internal') this.log.error({ err: error, operation: operation.id }, 'an operation failed');
      }
      operation.phase = 'undo';
      operation.error = failure.toProblem(operation.requestId);
      await journal.commit('process');
    }
    await this.backward(run);
    if (this.stopping && operation.steps.some((record) => record.state === 'running')) return;
    await this.end(run, { state: failure.code === 'operation.cancelled' ? 'cancelled' : 'failed', error: failure });
  }

  private async forward({ operation, steps, journal }: Run, signal: AbortSignal): Promise<boolean> {
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
      // One note a step: it records the end of the step before together with the begin of this one.
      journal.note(step.name);
      if (step.barrier === true) await journal.commit('process');
      this.faults.after(`${operation.kind}.${step.name}.begin`);
      await this.runStep(operation, step, record, journal, signal);
      this.faults.after(`${operation.kind}.${step.name}`);
    }
    return true;
  }

  private async runStep(
    operation: Operation,
    step: Step,
    record: StepRecord,
    journal: OperationJournal,
    signal: AbortSignal,
  ): Promise<void> {
    const progress = new ProgressNotes(operation, () => journal.note(step.name));
    try {
      await step.run({
        operation,
        signal,
        progress: (value) => progress.report(value),
        aside: (wait) => this.laneOf(operation).aside(wait),
        copying: (copy) => this.laneOf(operation).aside(() => this.copies.run(copy, signal)),
        also: (effect) => journal.also(effect),
      });
      record.state = 'succeeded';
    } catch (error) {
      record.state = 'failed';
      throw error;
    } finally {
      record.endedAt = now();
      delete operation.progress;
    }
  }

  private async backward(run: Run): Promise<void> {
    const { operation, steps, journal } = run;
    for (const [index, step] of [...steps.entries()].reverse()) {
      const record = operation.steps[index];
      if (record === undefined) continue;
      if (record.state === 'pending' && !mayHaveBegun(run, index)) record.state = 'skipped';
      if (record.state === 'skipped' || record.state === 'undone') continue;
      if (step.undo !== undefined) {
        await this.undo(step, operation);
        record.state = record.state === 'succeeded' || record.state === 'pending' ? 'undone' : 'failed';
      } else if (record.state === 'pending') record.state = 'skipped';
      journal.note(step.name);
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
        if (attempt >= UNDO_ATTEMPTS) return; // the garbage collector removes what is half made, and sets aside what is whole
        await sleep(100 * attempt);
      }
    }
  }

  private async end({ operation, journal }: Run, ending: Ending): Promise<void> {
    delete operation.progress;
    // Set inside the transaction: a write behind that is still under way would record an end without its effects.
    await journal.commit(
      'disk',
      async (tx) => {
        operation.state = ending.state;
        operation.endedAt = now();
        await this.definition(operation).finish(operation, ending, tx);
      },
      () => {
        operation.state = 'running';
        delete operation.endedAt;
      },
    );
    this.faults.after(`${operation.kind}.end`);
  }

  private laneOf(operation: Operation): Semaphore {
    return this.lanes[LANES[operation.kind] ?? 'make'];
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

/** Whether a step that its record says is `pending` may have begun all the same. */
function mayHaveBegun({ operation, steps, resumed }: Run, index: number): boolean {
  return resumed && !steps.slice(0, index + 1).some((step, at) => step.barrier === true && operation.steps[at]?.state === 'pending');
}

/** Notes progress now and then. */
class ProgressNotes {
  private last = 0;
  private bytes = 0;

  constructor(
    private readonly operation: Operation,
    private readonly note: () => void,
  ) {}

  report(progress: Progress): void {
    const now = performance.now();
    const passed = now - this.last;
    if (passed < PROGRESS_INTERVAL_MILLISECONDS) return;
    const { bytes = 0, totalBytes = 0 } = progress;
    const moved = bytes - this.bytes;
    const rate = this.last === 0 || moved < 0 ? {} : { bytesPerSecond: Math.round((moved * 1000) / passed) };
    this.last = now;
    this.bytes = bytes;
    this.operation.progress = { ...progress, ...rate, ...(totalBytes === 0 ? {} : { percent: Math.floor((bytes / totalBytes) * 100) }) };
    this.note();
  }
}

function cancelled(): ApiError {
  return new ApiError('operation.cancelled', {
    detail: 'The operation was cancelled and taken back.',
    remedy: 'Ask again when it is wanted after all.',
  });
}

function now(): string {
  return new Date().toISOString();
}
