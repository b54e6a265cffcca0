// SPDX-License-Identifier: Apache-2.0
import type { MachineEvent as CoreEvent } from './generated/report.js';

/** How many events wait for a reader before the oldest are dropped and counted. */
const KEPT = 256;
/** The longest delay of a timer. */
const FOR_EVER = 2 ** 31 - 1;

/**
 * The process that ran the machine has ended; always the last event. Both fields are absent for a worker that was adopted.
 * Without an event `stopped` before it and without a `readExit`, a signal ended the worker.
 */
export interface WorkerExitedEvent {
  kind: 'worker-exited';
  exitStatus?: number;
  signal?: number;
}

/** So many events were dropped here because the reader was too slow. */
export interface LostEvent {
  kind: 'lost';
  count: number;
}

/** Something that happened to a machine, told apart by `kind`. `seq` grows by one in the life of a worker. */
export type MachineEvent = (CoreEvent | WorkerExitedEvent | LostEvent) & { seq: number };

/**
 * Gives the events of one machine to any number of readers, each with a queue of its own. A reader starts with the
 * events since the machine was made or adopted, of which the newest are kept: nothing is missed between `create` and
 * the first `events()`.
 */
export class EventHub {
  readonly #kept: MachineEvent[] = [];
  readonly #readers = new Set<EventQueue>();
  #dropped = 0;
  #ended = false;

  constructor(private readonly lastKind: MachineEvent['kind']) {}

  push(event: MachineEvent): void {
    if (this.#ended) return;
    this.#kept.push(event);
    if (this.#kept.length > KEPT) {
      this.#kept.shift();
      this.#dropped += 1;
    }
    for (const reader of this.#readers) reader.push(event);
    if (event.kind === this.lastKind) this.end();
  }

  /** No more events: readers end after what waits for them. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers) reader.end();
    this.#readers.clear();
  }

  read(signal?: AbortSignal): AsyncIterableIterator<MachineEvent> {
    const reader = new EventQueue(() => this.#readers.delete(reader));
    const first = this.#kept[0];
    if (this.#dropped > 0 && first !== undefined) reader.push({ kind: 'lost', count: this.#dropped, seq: first.seq - 1 });
    for (const event of this.#kept) reader.push(event);
    if (this.#ended) reader.end();
    else this.#readers.add(reader);
    reader.endOn(signal);
    return reader;
  }
}

type Result = IteratorResult<MachineEvent, undefined>;

/** Ends quietly when its signal aborts or it is returned. Keeps the process alive only while somebody waits for an event. */
class EventQueue implements AsyncIterableIterator<MachineEvent> {
  readonly #waiting: MachineEvent[] = [];
  readonly #takers: Array<(result: Result) => void> = [];
  #lost = 0;
  #ended = false;
  #alive: NodeJS.Timeout | undefined;

  constructor(private readonly forget: () => void) {}

  push(event: MachineEvent): void {
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      this.#keepAlive();
      taker({ done: false, value: event });
      return;
    }
    this.#waiting.push(event);
    if (this.#waiting.length > KEPT) {
      const dropped = this.#waiting.shift();
      this.#lost += dropped?.kind === 'lost' ? dropped.count : 1;
    }
  }

  end(): void {
    this.#ended = true;
    for (const taker of this.#takers.splice(0)) taker({ done: true, value: undefined });
    this.#keepAlive();
  }

  endOn(signal: AbortSignal | undefined): void {
    if (signal?.aborted) void this.return();
    else signal?.addEventListener('abort', () => void this.return(), { once: true });
  }

  next(): Promise<Result> {
    const first = this.#waiting[0];
    if (this.#lost > 0 && first !== undefined) {
      const count = this.#lost;
      this.#lost = 0;
      return Promise.resolve({ done: false, value: { kind: 'lost', count, seq: first.seq - 1 } });
    }
    this.#waiting.shift();
    if (first !== undefined) return Promise.resolve({ done: false, value: first });
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => {
      this.#takers.push(resolve);
      this.#keepAlive();
    });
  }

  return(): Promise<Result> {
    this.#waiting.length = 0;
    this.#lost = 0;
    this.forget();
    this.end();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #keepAlive(): void {
    const wanted = this.#takers.length > 0;
    if (wanted) this.#alive ??= setInterval(() => {}, FOR_EVER);
    else {
      clearInterval(this.#alive);
      this.#alive = undefined;
    }
  }
}
