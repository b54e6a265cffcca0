// SPDX-License-Identifier: Apache-2.0
import { Inject, Injectable } from '@nestjs/common';
import { Coalesced } from '../../common/async.js';
import { LOG, type Log } from '../../common/log.js';
import type { FlotillaEvent } from '../../common/event.js';
import { Database } from '../../database/database.js';
import { EventRepository } from './event.repository.js';

const BATCH = 500;

/** Hands events to listeners in the order of their numbers, each once, right after the commit that made them. */
@Injectable()
export class EventHub {
  private readonly listeners = new Set<(events: FlotillaEvent[]) => void>();
  private readonly pump = new Coalesced(() => this.deliver());
  private last: number | undefined;
  private unsubscribe: (() => void) | undefined;

  constructor(
    private readonly repository: EventRepository,
    private readonly database: Database,
    @Inject(LOG) private readonly log: Log,
  ) {}

  /** Adds a listener; answers the number of the last event it will not get, and how to leave. */
  async listen(listener: (events: FlotillaEvent[]) => void): Promise<{ last: number; leave: () => void }> {
    if (this.last === undefined) {
      this.last = (await this.repository.bounds()).last;
      this.unsubscribe ??= this.database.onEvents(() => this.trigger());
    }
    this.listeners.add(listener);
    const last = this.last;
    this.trigger();
    return { last, leave: () => this.listeners.delete(listener) };
  }

  close(): void {
    this.unsubscribe?.();
    this.listeners.clear();
  }

  private trigger(): void {
    this.pump.trigger().catch((error: unknown) => this.log.error({ err: error }, 'events could not be read; the next one tries again'));
  }

  private async deliver(): Promise<void> {
    for (;;) {
      const events = await this.repository.after(this.last ?? 0, BATCH);
      const end = events.at(-1);
      if (end === undefined) return;
      this.last = end.id;
      for (const listener of this.listeners) listener(events);
      if (events.length < BATCH) return;
    }
  }
}
