// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { Route } from '../../common/route.js';
import { Health } from './dto/health.dto.js';
import { HealthService } from './health.service.js';

@Controller()
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get('health/live')
  @Route({ summary: 'Whether the process lives', permission: 'none', answers: { 200: { type: Health, description: 'It does.' } } })
  live(): Health {
    return { status: 'ok' };
  }

  @Get('health/ready')
  @Route({
    summary: 'Whether machines were adopted and the database answers',
    permission: 'none',
    answers: { 200: { type: Health, description: 'Ready.' } },
    errors: ['host.unavailable'],
  })
  ready(): Promise<Health> {
    return this.health.ready();
  }

  @Get('metrics')
  @Route({
    summary: 'Prometheus metrics',
    permission: 'none',
    answers: { 200: { media: 'text/plain', description: 'Metrics; without a key only from the loopback address.' } },
  })
  metrics(@Req() request: Request, @Res() response: Response): Promise<void> {
    return this.health.sendMetrics(request, response);
  }

  @Get('openapi.json')
  @Route({
    summary: 'This API as an OpenAPI 3.1 document',
    permission: 'none',
    answers: { 200: { media: 'application/json', description: 'The document.' } },
  })
  openapi(@Res() response: Response): Promise<void> {
    return this.health.sendOpenapi(response);
  }
}
