// SPDX-License-Identifier: Apache-2.0
import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { ApiError } from '../../common/api-error.js';
import { currentContext, type Principal } from '../../common/context.js';
import type { FlotillaEvent } from '../../common/event.js';
import { Config } from '../../config/config.js';
import { roleAllows } from '../auth/roles.js';
import { KeysService } from '../keys/keys.service.js';
import { EventHub } from './event-hub.js';
import type { EventQuery } from './dto/event.dto.js';
import { EventRepository } from './event.repository.js';
import { EventStream } from './event-stream.js';

/** Server-sent events: those after a number, then those to come; nobody is silently skipped. */
@Injectable()
export class EventStreams {
  private readonly open_ = new Set<EventStream>();

  constructor(
    private readonly hub: EventHub,
    private readonly repository: EventRepository,
    private readonly keys: KeysService,
    private readonly config: Config,
  ) {}

  async open(query: EventQuery, request: Request, response: Response): Promise<void> {
    const asked = query.after ?? lastEventId(request.headers['last-event-id']);
    await this.refuseTooOld(asked);
    const last = await this.hub.open();
    if (response.destroyed) return; // its 'close' was told already: nothing that begins now would ever end
    const principal = currentContext()?.principal;
    if (principal !== undefined)
      response.on(
        'close',
        this.keys.whileValid(principal.id, () => response.destroy()),
      );
    const stream = new EventStream(response, this.hub, {
      after: asked ?? last,
      wanted: makeFilter(query, principal),
      stallMilliseconds: this.config.eventStallMilliseconds,
    });
    this.open_.add(stream);
    try {
      await stream.run();
    } finally {
      this.open_.delete(stream);
    }
  }

  get count(): number {
    return this.open_.size;
  }

  /** Ends all streams; clients come back with Last-Event-ID. */
  close(): void {
    for (const stream of this.open_) stream.end();
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

/** Who else has keys, and with which role, is told to those alone who may list them. */
function makeFilter(query: EventQuery, principal: Principal | undefined): (event: FlotillaEvent) => boolean {
  const keysToo = principal !== undefined && roleAllows(principal.role, 'keys:read');
  const kinds = query.kinds?.split(',').filter((kind) => kind !== '');
  const kindWanted = (kind: string) =>
    kinds === undefined || kinds.some((one) => (one.endsWith('*') ? kind.startsWith(one.slice(0, -1)) : one === kind));
  return (event) =>
    (keysToo || event.target.kind !== 'key') && kindWanted(event.kind) && (query.target === undefined || event.target.id === query.target);
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
