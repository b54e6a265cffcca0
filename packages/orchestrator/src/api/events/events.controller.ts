// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { Route } from '../../common/route.js';
import { EventQuery } from './dto/event.dto.js';
import { EventStreams } from './event-streams.service.js';

@Controller('v1/events')
export class EventsController {
  constructor(private readonly streams: EventStreams) {}

  @Get()
  @Route({
    summary: 'Follow what happens (server-sent events)',
    permission: 'events:read',
    query: EventQuery,
    errors: ['events.too_old', 'request.invalid_query', 'request.invalid_header'],
    headers: { 'Last-Event-ID': 'Go on after the event of this number.' },
    answers: {
      200: {
        media: 'text/event-stream',
        description:
          'A stream: `id` is the sequence number, `event` the kind, `data` an Event as JSON. A message of an `id` alone comes first and every 15 s: the place to resume from. A listener that does not read for 60 s while events wait is disconnected. Events of API keys (`key.*`) are told to administrators alone.',
      },
    },
  })
  follow(@Query() query: EventQuery, @Req() request: Request, @Res() response: Response): Promise<void> {
    return this.streams.open(query, request, response);
  }
}
