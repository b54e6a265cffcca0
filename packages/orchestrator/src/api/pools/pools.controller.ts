// SPDX-License-Identifier: Apache-2.0
import { Body, Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req } from '@nestjs/common';
import type { Request } from 'express';
import { NamedQuery } from '../../common/dto/list.dto.js';
import { NoBody } from '../../common/dto/no-body.dto.js';
import type { Page } from '../../common/paging.js';
import { Route, type RouteDeclaration } from '../../common/route.js';
import { OperationDto } from '../operations/dto/operation.dto.js';
import type { Operation } from '../operations/operation.js';
import { PoolDto } from './dto/pool.dto.js';
import { DefinePool, DeletePoolQuery, StopPool, UpdatePool } from './dto/pool-requests.dto.js';
import { PoolActions } from './pool-actions.service.js';
import { DEFINE_POOL_ERRORS, POOL_ACTION_ERRORS, POOL_PARAM } from './pool.errors.js';
import { PoolsService } from './pools.service.js';

const ACCEPTED = {
  200: { type: OperationDto, description: 'The operation ended within the time of `Prefer: wait`.' },
  202: { type: OperationDto, description: 'Accepted; the operation goes on.' },
};

/** The description of what changes a pool that is there. */
const action = (summary: string, { errors = [], ...input }: Pick<RouteDeclaration, 'body' | 'query' | 'errors'>): RouteDeclaration => ({
  summary,
  permission: 'pools:write',
  operation: true,
  params: POOL_PARAM,
  etag: 'checks',
  ...input,
  answers: ACCEPTED,
  errors: [...POOL_ACTION_ERRORS, ...errors],
});

@Controller('v1/pools')
export class PoolsController {
  constructor(
    private readonly pools: PoolsService,
    private readonly actions: PoolActions,
  ) {}

  @Post()
  @HttpCode(202)
  @Route({
    summary: 'Define a storage pool, and start it',
    permission: 'pools:write',
    operation: true,
    body: DefinePool,
    answers: ACCEPTED,
    errors: DEFINE_POOL_ERRORS,
  })
  define(@Body() body: DefinePool): Promise<Operation> {
    return this.pools.define(body);
  }

  @Get()
  @Route({
    summary: 'List storage pools',
    permission: 'pools:read',
    query: NamedQuery,
    answers: { 200: { type: PoolDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: NamedQuery): Promise<Page<PoolDto>> {
    return this.pools.list(query);
  }

  @Get(':pool')
  @Route({
    summary: 'Show a storage pool',
    permission: 'pools:read',
    params: POOL_PARAM,
    etag: 'sends',
    answers: { 200: { type: PoolDto, description: 'The pool.' } },
    errors: ['pool.not_found'],
  })
  get(@Param('pool') pool: string): Promise<PoolDto> {
    return this.pools.get(pool);
  }

  @Patch(':pool')
  @Route({
    summary: 'Change autostart, guard or over-commit ratio',
    permission: 'pools:write',
    params: POOL_PARAM,
    etag: 'checks',
    body: UpdatePool,
    answers: { 200: { type: PoolDto, description: 'The pool as it is now.' } },
    errors: ['pool.not_found', 'pool.built_in', 'precondition.failed'],
  })
  update(@Param('pool') pool: string, @Body() body: UpdatePool, @Req() request: Request): Promise<PoolDto> {
    return this.pools.update(pool, body, request.headers['if-match']);
  }

  @Post(':pool/start')
  @HttpCode(202)
  @Route(action('Start a storage pool', { body: NoBody }))
  start(@Param('pool') pool: string, @Body() _body: NoBody, @Req() request: Request): Promise<Operation> {
    return this.actions.start(pool, request.headers['if-match']);
  }

  @Post(':pool/stop')
  @HttpCode(202)
  @Route(action('Stop a storage pool that no machine uses', { body: StopPool, errors: ['pool.in_use'] }))
  stop(@Param('pool') pool: string, @Body() body: StopPool, @Req() request: Request): Promise<Operation> {
    return this.actions.stop(pool, body.force ?? false, request.headers['if-match']);
  }

  @Post(':pool/refresh')
  @HttpCode(202)
  @Route(action('Look at a storage pool anew', { body: NoBody }))
  refresh(@Param('pool') pool: string, @Body() _body: NoBody, @Req() request: Request): Promise<Operation> {
    return this.actions.refresh(pool, request.headers['if-match']);
  }

  @Delete(':pool')
  @HttpCode(202)
  @Route(action('Delete a storage pool that holds no volumes', { query: DeletePoolQuery, errors: ['pool.not_empty'] }))
  remove(@Param('pool') pool: string, @Query() query: DeletePoolQuery, @Req() request: Request): Promise<Operation> {
    return this.actions.remove(pool, query.force ?? false, request.headers['if-match']);
  }
}
