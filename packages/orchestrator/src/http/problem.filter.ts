// SPDX-License-Identifier: Apache-2.0
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Inject, Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { AuditService } from '../api/audit/audit.service.js';
import { ApiError } from '../common/api-error.js';
import { currentContext } from '../common/context.js';
import { LOG, type Log } from '../common/log.js';

/** Every error leaves as a problem document, and every failed mutation is audited. */
@Catch()
@Injectable()
export class ProblemFilter implements ExceptionFilter {
  constructor(
    private readonly audit: AuditService,
    @Inject(LOG) private readonly log: Log,
  ) {}

  async catch(thrown: unknown, host: ArgumentsHost): Promise<void> {
    const request = host.switchToHttp().getRequest<Request & { permission?: string }>();
    const response = host.switchToHttp().getResponse<Response>();
    const error = translate(thrown, request);
    const requestId = currentContext()?.requestId ?? '';
    if (error.code === 'internal')
      this.log.error({ err: thrown, requestId, method: request.method, path: request.path }, 'a request failed');
    await this.audit
      .record(request, request.permission ?? 'unknown', error.status, error.code)
      .catch((failure: unknown) => this.log.error({ err: failure, requestId }, 'the audit record could not be written'));
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (error.status === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="flotilla"');
    if (error.code === 'idempotency.in_flight') response.setHeader('Retry-After', '1');
    response
      .status(error.status)
      .type('application/problem+json')
      .send(JSON.stringify(error.toProblem(requestId)));
  }
}

interface BodyParserError {
  type?: string;
  status?: number;
}

function translate(thrown: unknown, request: Request): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const { type, status } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as BodyParserError;
  if (type === 'entity.too.large')
    return new ApiError('request.too_large', {
      detail: 'A body may have at most 1 MiB.',
      remedy: 'Send less; upload images with PUT /v1/images/{name}/content.',
    });
  if (type === 'charset.unsupported' || type === 'encoding.unsupported')
    return new ApiError('request.unsupported_media_type', {
      detail: 'The charset or encoding of the body is not supported.',
      remedy: 'Send plain UTF-8 JSON.',
    });
  if (thrown instanceof HttpException) return fromHttp(thrown, request);
  if (
    thrown instanceof SyntaxError ||
    thrown instanceof URIError ||
    type?.startsWith('entity.') === true ||
    type?.startsWith('request.') === true ||
    status === 400
  ) {
    return new ApiError('request.malformed', {
      detail: 'The request is not well formed; a body must be JSON.',
      remedy: 'Check the JSON of the body, the escapes of the path, and the headers.',
    });
  }
  return ApiError.from(thrown);
}

function fromHttp(thrown: HttpException, request: Request): ApiError {
  const status = thrown.getStatus();
  if (status === 404)
    return new ApiError('request.not_found', {
      detail: `There is no route ${request.method} ${request.path.slice(0, 200)}.`,
      remedy: 'See GET /openapi.json for all routes.',
    });
  if (status === 413) return new ApiError('request.too_large', { detail: 'A body may have at most 1 MiB.', remedy: 'Send less.' });
  if (status >= 400 && status < 500)
    return new ApiError('request.malformed', {
      detail: 'The request is not well formed; a body must be JSON.',
      remedy: 'Check the JSON of the body, the escapes of the path, and the headers.',
    });
  return ApiError.from(thrown);
}
