// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { Coalesced } from '../../common/async.js';
import { LOG, type Log } from '../../common/log.js';
import type { FlotillaEvent } from '../../common/event.js';
import { Database } from '../../database/database.js';
import { EventRepository } from './event.repository.js';

const BATCH = 500;

/**
 * Hands out events in the order of their numbers, each once, right after the commit that made them: to the parts of this
 * process that listen, and to readers that ask for what follows a number, each at its own pace. The last batch is kept, so
 * that readers who keep up, however many, cost no question to the database.
 */
@Injectable()
export class EventHub {
  private readonly listeners = new Set<(events: readonly FlotillaEvent[]) => void>();
  private readonly waiting = new Set<() => void>();
  private readonly pump = new Coalesced(() => this.deliver());
  private recent: readonly FlotillaEvent[] = [];
  /** Number before the first of `recent`. */
  private recentAfter = 0;
  private last: number | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly repository: EventRepository,
    private readonly database: Database,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Adds a listener, which must not keep others waiting. */
  async listen(listener: (events: readonly FlotillaEvent[]) => void): Promise<void> {
    await this.open();
    this.listeners.add(listener);
    this.trigger();
  }

  /** The number after which a reader that begins now is told everything. */
  async open(): Promise<number> {
    if (this.last === undefined) {
      const { last } = await this.repository.bounds();
      this.last ??= last; // another one was quicker, and may have been told more by now
    }
    this.unsubscribe ??= this.database.onEvents(() => this.trigger());
    this.trigger();
    return this.last;
  }

  /** Some of the events after a number, in order, as soon as there are any; undefined once the reader has left or they are no longer kept. */
  async next(after: number, left: AbortSignal): Promise<readonly FlotillaEvent[] | undefined> {
    while (!left.aborted && after >= (this.last ?? 0)) await this.delivery(left);
    if (left.aborted) return undefined;
    if (after >= this.recentAfter && this.recent.length > 0) return this.recent.slice(this.recent.findIndex(({ id }) => id > after));
    const events = await this.repository.after(after, BATCH);
    return (await this.isComplete(events, after)) ? events : undefined;
  }

  close(): void {
    this.unsubscribe?.();
    this.listeners.clear();
  }

  /** Whether nothing is missing between a number and the events read after it: the oldest are dropped in time. */
  private async isComplete(events: readonly FlotillaEvent[], after: number): Promise<boolean> {
    if (events[0]?.id === after + 1) return true;
    return events.length > 0 && (await this.repository.bounds()).first <= after + 1; // a transaction that failed took the numbers
  }

  private delivery(left: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.waiting.delete(done);
        left.removeEventListener('abort', done);
        resolve();
      };
      this.waiting.add(done);
      left.addEventListener('abort', done);
    });
  }

  private trigger(): void {
    this.pump.trigger().catch((error: unknown) => this.log.error({ err: error }, 'events could not be read; the next one tries again'));
  }

  private async deliver(): Promise<void> {
    for (;;) {
      const before = this.last ?? 0;
      const events = await this.repository.after(before, BATCH);
      const [begin, end] = [events[0], events.at(-1)];
      if (begin === undefined || end === undefined) return;
      this.recentAfter = (await this.isComplete(events, before)) ? before : begin.id - 1; // who needs what went before is told so
      [this.recent, this.last] = [events, end.id];
      for (const listener of this.listeners) listener(events);
      for (const wake of [...this.waiting]) wake();
      if (events.length < BATCH) return;
    }
  }
}
