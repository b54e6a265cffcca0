// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { ApiError } from '../../common/api-error.js';
import { currentContext } from '../../common/context.js';
import type { FlotillaEvent } from '../../common/event.js';
import { KeysService } from '../keys/keys.service.js';
import { EventHub } from './event-hub.js';
import type { EventQuery } from './dto/event.dto.js';
import { EventRepository } from './event.repository.js';

const HEARTBEAT_MILLISECONDS = 15_000;
/** A listener with so many bytes not taken is disconnected. */
const MAX_BACKLOG_BYTES = 1024 * 1024;
const REPLAY_BATCH = 500;

/** Server-sent events: replay after a number, then live; nobody is silently skipped. */
@Injectable()
export class EventStreams {
  private readonly open_ = new Set<EventStream>();

  constructor(
    private readonly hub: EventHub,
    private readonly repository: EventRepository,
    private readonly keys: KeysService,
  ) {}

  async open(query: EventQuery, request: Request, response: Response): Promise<void> {
    const after = query.after ?? lastEventId(request.headers['last-event-id']);
    await this.refuseTooOld(after);
    const left = () => response.destroyed; // its 'close' was told already: nothing that begins now would ever end
    if (left()) return;
    const stream = new EventStream(response, makeFilter(query));
    this.open_.add(stream);
    response.on('close', () => this.open_.delete(stream));
    const principal = currentContext()?.principal;
    if (principal !== undefined)
      response.on(
        'close',
        this.keys.whileValid(principal.id, () => response.destroy()),
      );
    const { last, leave } = await this.hub.listen((events) => stream.live(events));
    if (left()) leave();
    response.on('close', leave);
    stream.begin();
    await this.replay(stream, after ?? last);
  }

  get count(): number {
    return this.open_.size;
  }

  /** Ends all streams; clients come back with Last-Event-ID. */
  close(): void {
    for (const stream of this.open_) stream.end();
  }

  private async replay(stream: EventStream, after: number): Promise<void> {
    for (let at = after; ; ) {
      const events = await this.repository.after(at, REPLAY_BATCH);
      const end = events.at(-1);
      if (end === undefined || !(await stream.replay(events))) break;
      at = end.id;
    }
    stream.goLive(after);
  }

  private async refuseTooOld(after: number | undefined): Promise<void> {
    if (after === undefined) return;
    const { first, last } = await this.repository.bounds();
    if (after + 1 >= first && after <= last) return;
    if (last === 0 && after === 0) return;
    throw new ApiError('events.too_old', {
      detail: `Events from ${first} to ${last} are kept; those after ${after} are not all among them.`,
      remedy: 'Read the resources anew, then follow the events without Last-Event-ID.',
    });
  }
}

/** One connected listener. */
class EventStream {
  private sent = 0;
  private pending: FlotillaEvent[] | undefined = [];
  private readonly heartbeat: NodeJS.Timeout;

  constructor(
    private readonly response: Response,
    private readonly wanted: (event: FlotillaEvent) => boolean,
  ) {
    this.heartbeat = setInterval(() => this.write(': heartbeat\n\n'), HEARTBEAT_MILLISECONDS);
    response.on('close', () => clearInterval(this.heartbeat));
  }

  begin(): void {
    this.response.status(200).set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store', 'X-Accel-Buffering': 'no' });
    this.response.flushHeaders();
    this.write(': connected\n\n');
  }

  /** Events as they happen; held back until the replay is over. */
  live(events: FlotillaEvent[]): void {
    if (this.pending === undefined) this.send(events);
    else if (this.pending.length + events.length > 10_000) this.response.destroy();
    else this.pending.push(...events);
  }

  /** Events of the past: waits for the listener, so that a long replay is no backlog. */
  async replay(events: FlotillaEvent[]): Promise<boolean> {
    this.send(events);
    if (this.response.writableNeedDrain)
      await new Promise<void>((resolve) => {
        this.response.once('drain', resolve).once('close', resolve);
      });
    return !this.response.destroyed;
  }

  goLive(after: number): void {
    const held = this.pending ?? [];
    this.sent = Math.max(this.sent, after);
    this.pending = undefined;
    this.send(held);
  }

  end(): void {
    clearInterval(this.heartbeat);
    this.response.end();
  }

  private send(events: FlotillaEvent[]): void {
    for (const event of events) {
      if (event.id <= this.sent) continue;
      this.sent = event.id;
      if (this.wanted(event)) this.write(`id: ${event.id}\nevent: ${event.kind}\ndata: ${JSON.stringify(event)}\n\n`);
    }
  }

  private write(text: string): void {
    if (this.response.destroyed || this.response.writableEnded) return;
    this.response.write(text);
    if (this.response.writableLength > MAX_BACKLOG_BYTES) this.response.destroy();
  }
}

function makeFilter(query: EventQuery): (event: FlotillaEvent) => boolean {
  const kinds = query.kinds?.split(',').filter((kind) => kind !== '');
  const kindWanted = (kind: string) =>
    kinds === undefined || kinds.some((one) => (one.endsWith('*') ? kind.startsWith(one.slice(0, -1)) : one === kind));
  return (event) => kindWanted(event.kind) && (query.target === undefined || event.target.id === query.target);
}

function lastEventId(header: string | string[] | undefined): number | undefined {
  if (header === undefined || header === '') return undefined;
  if (typeof header === 'string' && /^\d{1,15}$/.test(header)) return Number(header);
  throw new ApiError('request.invalid_header', {
    detail: 'Last-Event-ID is not the number of an event.',
    remedy: 'Give the `id` of the last event you have seen.',
    field: 'Last-Event-ID',
  });
}
