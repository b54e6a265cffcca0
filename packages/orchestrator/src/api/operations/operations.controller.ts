// SPDX-License-Identifier: Apache-2.0
import { Controller, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import type { Page } from '../../common/paging.js';
import { Route } from '../../common/route.js';
import { OperationDto, OperationQuery } from './dto/operation.dto.js';
import type { Operation } from './operation.js';
import { OperationsService } from './operations.service.js';

const PARAM = { operation: 'Id of the operation.' };

@Controller('v1/operations')
export class OperationsController {
  constructor(private readonly operations: OperationsService) {}

  @Get()
  @Route({
    summary: 'List operations',
    permission: 'operations:read',
    query: OperationQuery,
    answers: { 200: { type: OperationDto, page: true, description: 'One page.' } },
    errors: ['request.invalid_cursor', 'request.invalid_query'],
  })
  list(@Query() query: OperationQuery): Promise<Page<OperationDto>> {
    return this.operations.list(query);
  }

  @Get(':operation')
  @Route({
    summary: 'Show an operation, or wait for it',
    permission: 'operations:read',
    operation: true,
    params: PARAM,
    answers: { 200: { type: OperationDto, description: 'The operation.' } },
    errors: ['operation.not_found'],
  })
  get(@Param('operation') operation: string): Promise<Operation> {
    return this.operations.get(operation);
  }

  @Post(':operation/cancel')
  @HttpCode(202)
  @Route({
    summary: 'Cancel an operation',
    permission: 'operations:write',
    operation: true,
    params: PARAM,
    errors: ['operation.not_found', 'operation.not_cancellable'],
    answers: {
      200: { type: OperationDto, description: 'It ended within the time of `Prefer: wait`.' },
      202: { type: OperationDto, description: 'It is being taken back.' },
    },
  })
  cancel(@Param('operation') operation: string): Promise<Operation> {
    return this.operations.cancel(operation);
  }
}
