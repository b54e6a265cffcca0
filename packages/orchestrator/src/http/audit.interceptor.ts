// SPDX-License-Identifier: Apache-2.0
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Request, Response } from 'express';
import { from, mergeMap, type Observable, of } from 'rxjs';
import { AuditService } from '../api/audit/audit.service.js';
import { declarationOf } from './auth.guard.js';

/** Records every change that was accepted, before its answer leaves; the ETag of a resource is set here too. */
@Injectable()
export class AuditInterceptor implements NestInterceptor {
  constructor(private readonly audit: AuditService) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const declaration = declarationOf(context);
    const request = context.switchToHttp().getRequest<Request>();
    const response = context.switchToHttp().getResponse<Response>();
    return next.handle().pipe(
      mergeMap((body: unknown) => {
        const generation =
          declaration?.etag === undefined || declaration.operation === true
            ? undefined
            : (body as { generation?: number } | undefined)?.generation;
        if (generation !== undefined) response.setHeader('ETag', `W/"${generation}"`);
        return from(this.audit.record(request, declaration?.permission ?? 'none', response.statusCode)).pipe(mergeMap(() => of(body)));
      }),
    );
  }
}
