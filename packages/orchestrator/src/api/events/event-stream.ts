// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Response } from 'express';
import type { FlotillaEvent } from '../../common/event.js';
import type { EventHub } from './event-hub.js';

const HEARTBEAT_MILLISECONDS = 15_000;

/** How one listener is served. */
export interface EventStreamOptions {
  /** Number of the last event it has. */
  readonly after: number;
  readonly wanted: (event: FlotillaEvent) => boolean;
  /** It is disconnected when it takes in too little for so long. */
  readonly stallMilliseconds: number;
}

/**
 * One connected listener. It reads at its own pace: the next event is written once the connection has room, so what waits for
 * it is one batch and the buffer of its connection, however much happens. One that does not read is disconnected.
 */
export class EventStream {
  private readonly left = new AbortController();
  /** Everything up to here was written or is not wanted. */
  private at: number;

  constructor(
    private readonly response: Response,
    private readonly hub: EventHub,
    private readonly options: EventStreamOptions,
  ) {
    this.at = options.after;
    response.on('close', () => this.left.abort());
  }

  /** Serves the listener until one side leaves. */
  async run(): Promise<void> {
    const heartbeat = setInterval(() => this.tellPosition('heartbeat'), HEARTBEAT_MILLISECONDS);
    this.left.signal.addEventListener('abort', () => clearInterval(heartbeat));
    this.response.status(200).set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
    this.response.flushHeaders();
    this.tellPosition('connected');
    try {
      while (await this.sendSome()) await nextTurn(); // others have their turn in a long replay
    } finally {
      if (!this.response.writableEnded) this.response.destroy();
    }
  }

  /** Ends the stream in order. */
  end(): void {
    this.left.abort();
    this.response.end();
  }

  /** Writes what comes next; false when there is nothing more to be done. */
  private async sendSome(): Promise<boolean> {
    const events = await this.hub.next(this.at, this.left.signal);
    for (const event of events ?? []) {
      if (!this.options.wanted(event)) this.at = event.id;
      else if (!(await this.send(event))) return false;
    }
    return events !== undefined;
  }

  private async send(event: FlotillaEvent): Promise<boolean> {
    if (this.response.writableNeedDrain) await this.drained();
    if (this.left.signal.aborted || this.response.destroyed) return false;
    this.response.write(`id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
    this.at = event.id;
    return true;
  }

  /** Resolves when there is room again, or the listener is gone: it leaves, or is made to. */
  private drained(): Promise<void> {
    return new Promise((resolve) => {
      const stalled = setTimeout(() => this.response.destroy(), this.options.stallMilliseconds);
      const done = () => {
        clearTimeout(stalled);
        this.response.off('drain', done);
        this.left.signal.removeEventListener('abort', done);
        resolve();
      };
      this.response.on('drain', done);
      this.left.signal.addEventListener('abort', done);
    });
  }

  /** A message without data: moves the place to resume from, also past events that were not wanted. */
  private tellPosition(comment: string): void {
    if (!this.left.signal.aborted && !this.response.writableNeedDrain) this.response.write(`: ${comment}\nid: ${this.at}\n\n`);
  }
}
