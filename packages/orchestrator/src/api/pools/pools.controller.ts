// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, Param, Query } from '@nestjs/common';
import { PageQuery } from '../../common/dto/list.dto.js';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { PoolDto } from './dto/pool.dto.js';
import { PoolsService } from './pools.service.js';

@Controller('v1/pools')
export class PoolsController {
  constructor(private readonly pools: PoolsService) {}

  @Get()
  @Route({
    summary: 'List storage pools',
    permission: 'pools:read',
    query: PageQuery,
    answers: { 200: { type: PoolDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: PageQuery): Promise<Page<PoolDto>> {
    return this.pools.list(query);
  }

  @Get(':pool')
  @Route({
    summary: 'Show a storage pool',
    permission: 'pools:read',
    params: { pool: 'Id or name of the pool.' },
    answers: { 200: { type: PoolDto, description: 'The pool.' } },
    errors: ['pool.not_found'],
  })
  get(@Param('pool') pool: string): Promise<PoolDto> {
    return this.pools.get(pool);
  }
}
