// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, Query } from '@nestjs/common';
import { PageQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { AuditService } from './audit.service.js';
import { AuditDto } from './dto/audit.dto.js';

@Controller('v1/audit')
export class AuditController {
  constructor(private readonly audit: AuditService) {}

  @Get()
  @Route({
    summary: 'List attempts to change something',
    permission: 'audit:read',
    query: PageQuery,
    answers: { 200: { type: AuditDto, page: true, description: 'One page, oldest first.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: PageQuery): Promise<Page<AuditDto>> {
    return this.audit.list(query);
  }
}
