// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import type { Request, Response } from 'express';
import { catchError, from, mergeMap, type Observable, of } from 'rxjs';
import { IdempotencyStore, type Known, takesIdempotencyKey } from '../api/idempotency/idempotency.store.js';
import type { Operation } from '../api/operations/operation.js';
import { OperationsService } from '../api/operations/operations.service.js';
import { ApiError } from '../common/api-error.js';
import { currentContext } from '../common/context.js';
import { declarationOf } from './auth.guard.js';

const KEY = /^[\x21-\x7e]{1,255}$/;

/** `Idempotency-Key` on whatever changes something: a repeat answers as the first request did. */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    private readonly store: IdempotencyStore,
    private readonly operations: OperationsService,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const request = context.switchToHttp().getRequest<Request>();
    const key = request.headers['idempotency-key'];
    const current = currentContext();
    if (!takesIdempotencyKey(request.method) || key === undefined || current?.principal === undefined) return next.handle();
    if (typeof key !== 'string' || !KEY.test(key)) {
      throw new ApiError('request.invalid_header', {
        detail: 'Idempotency-Key must have 1 to 255 printable characters.',
        remedy: 'Use a random UUID.',
        field: 'Idempotency-Key',
      });
    }
    const principal = current.principal.id;
    const fingerprint = fingerprintOf(request);
    return from(this.store.claim(principal, key, fingerprint, current.requestId)).pipe(
      mergeMap((known) =>
        known.state === 'new' ? this.first(context, next, principal, key) : from(this.repeat(context, known, fingerprint)),
      ),
    );
  }

  private first(context: ExecutionContext, next: CallHandler, principal: string, key: string): Observable<unknown> {
    const response = context.switchToHttp().getResponse<Response>();
    return next.handle().pipe(
      mergeMap((body: unknown) =>
        from(this.store.complete(principal, key, response.statusCode, withoutSecret(body))).pipe(mergeMap(() => of(body))),
      ),
      catchError((error: unknown) =>
        from(this.store.forget(principal, key)).pipe(
          mergeMap(() => {
            throw error;
          }),
        ),
      ),
    );
  }

  private async repeat(context: ExecutionContext, known: Exclude<Known, { state: 'new' }>, fingerprint: string): Promise<unknown> {
    if (known.fingerprint !== fingerprint) {
      throw new ApiError('idempotency.mismatch', {
        detail: 'This Idempotency-Key was used for a request with another path, query or body.',
        remedy: 'Use a new key for a new request.',
        field: 'Idempotency-Key',
      });
    }
    if (known.state === 'in_flight') {
      throw new ApiError('idempotency.in_flight', {
        detail: 'The first request with this Idempotency-Key has not been answered yet.',
        remedy: 'Try again in a moment.',
        field: 'Idempotency-Key',
      });
    }
    if (isSecretive(known.body)) throw secretShownOnce(known.body);
    const response = context.switchToHttp().getResponse<Response>();
    response.setHeader('Idempotent-Replayed', 'true');
    response.status(known.status);
    if (declarationOf(context)?.operation !== true) return known.body;
    return this.operations.get((known.body as Operation).id);
  }
}

interface Secretive {
  id: string;
  name: string;
  secret: string;
}

/** Answers with a secret, as that of a new API key, are the only ones that cannot be given again: no secret is stored. */
function isSecretive(body: unknown): body is Secretive {
  return typeof body === 'object' && body !== null && 'secret' in body;
}

function withoutSecret(body: unknown): unknown {
  return isSecretive(body) ? { ...body, secret: '' } : body;
}

function secretShownOnce({ id, name }: Secretive): ApiError {
  return new ApiError('key.secret_shown_once', {
    detail: `The first request with this Idempotency-Key made the API key "${name}" (${id}); its secret was in that answer alone and is not stored.`,
    remedy: `Use the secret of the first answer. If that answer was lost, delete the key (DELETE /v1/keys/${id}) and make another one with a new Idempotency-Key.`,
    field: 'Idempotency-Key',
  });
}

function fingerprintOf(request: Request): string {
  return createHash('sha256')
    .update(`${request.method} ${request.originalUrl}\n${canonical(request.body)}`)
    .digest('hex');
}

/** JSON with sorted keys, so that the order of fields does not make another request. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  return `{${Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, one]) => `${JSON.stringify(key)}:${canonical(one)}`)
    .join(',')}}`;
}
