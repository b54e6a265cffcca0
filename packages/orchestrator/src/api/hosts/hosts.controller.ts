// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, Param, Query } from '@nestjs/common';
import { PageQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { HostDto, HostReportDto } from './dto/host.dto.js';
import { HostsService } from './hosts.service.js';

@Controller('v1/hosts')
export class HostsController {
  constructor(private readonly hosts: HostsService) {}

  @Get()
  @Route({
    summary: 'List hosts',
    permission: 'hosts:read',
    query: PageQuery,
    answers: { 200: { type: HostDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query', 'host.unavailable'],
  })
  list(@Query() query: PageQuery): Promise<Page<HostDto>> {
    return this.hosts.list(query);
  }

  @Get(':host')
  @Route({
    summary: 'Show a host',
    permission: 'hosts:read',
    params: { host: 'Id or name of the host.' },
    answers: { 200: { type: HostDto, description: 'The host.' } },
    errors: ['host.not_found', 'host.unavailable'],
  })
  get(@Param('host') host: string): Promise<HostDto> {
    return this.hosts.get(host);
  }

  @Get(':host/doctor')
  @Route({
    summary: 'Check what a host can do',
    permission: 'hosts:read',
    params: { host: 'Id or name of the host.' },
    answers: { 200: { type: HostReportDto, description: 'A report, at most 2 s old.' } },
    errors: ['host.not_found', 'host.unavailable'],
  })
  doctor(@Param('host') host: string): Promise<HostReportDto> {
    return this.hosts.doctor(host);
  }
}
