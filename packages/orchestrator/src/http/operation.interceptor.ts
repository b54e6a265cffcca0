// SPDX-License-Identifier: Apache-2.0
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Request, Response } from 'express';
import { type Observable, from, mergeMap } from 'rxjs';
import { toOperationDto } from '../api/operations/dto/operation.dto.js';
import { hasEnded, type Operation } from '../api/operations/operation.js';
import { OperationsService } from '../api/operations/operations.service.js';
import { ApiError } from '../common/api-error.js';
import { declarationOf } from './auth.guard.js';

const MAX_WAIT_SECONDS = 60;

/** Answers of routes that begin an operation: Location, `Prefer: wait=N`, and the status that fits. */
@Injectable()
export class OperationInterceptor implements NestInterceptor {
  constructor(private readonly operations: OperationsService) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (declarationOf(context)?.operation !== true) return next.handle();
    const request = context.switchToHttp().getRequest<Request>();
    const response = context.switchToHttp().getResponse<Response>();
    const seconds = waitSeconds(request);
    return next.handle().pipe(mergeMap((operation: Operation) => from(this.answer(operation, seconds, request, response))));
  }

  private async answer(operation: Operation, seconds: number | undefined, request: Request, response: Response): Promise<unknown> {
    const current = seconds === undefined ? operation : await this.operations.wait(operation.id, seconds);
    if (seconds !== undefined) response.setHeader('Preference-Applied', `wait=${seconds}`);
    if (request.method !== 'GET') {
      response.setHeader('Location', `/v1/operations/${operation.id}`);
      response.status(seconds !== undefined && hasEnded(current) ? 200 : 202);
    }
    return toOperationDto(current);
  }
}

/** N of `Prefer: wait=N`; more than a minute is a minute. */
function waitSeconds(request: Request): number | undefined {
  const header = request.headers['prefer'];
  const wait = (Array.isArray(header) ? header.join(',') : header)
    ?.split(/[,;]/)
    .map((part) => part.trim())
    .find((part) => part.startsWith('wait'));
  if (wait === undefined) return undefined;
  const seconds = /^wait\s*=\s*"?(\d{1,9})"?$/.exec(wait)?.[1];
  if (seconds === undefined)
    throw new ApiError('request.invalid_header', {
      detail: `The preference "${wait.slice(0, 50)}" is not of the form wait=N.`,
      remedy: 'Send Prefer: wait=N with whole seconds, at most 60.',
      field: 'Prefer',
    });
  return Math.min(Number(seconds), MAX_WAIT_SECONDS);
}
