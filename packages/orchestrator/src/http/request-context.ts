// SPDX-License-Identifier: Apache-2.0
import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../common/api-error.js';
import { runInContext } from '../common/context.js';
import { newId } from '../common/ids.js';
import { hasBody } from './request-limits.js';

const JSON_TYPE = /^application\/([\w.+-]+\+)?json\b/i;

/** First of all: an id for the request, sent back on every answer and known to everything below. */
export function requestContext(_request: Request, response: Response, next: NextFunction): void {
  const requestId = newId('req');
  response.setHeader('X-Request-Id', requestId);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  runInContext({ requestId }, next);
}

/** Requests wait for the first look at the host, for a moment at most. */
export function afterFirstLook(unseen: { firstLook(): Promise<void> | undefined }) {
  return (_request: Request, _response: Response, next: NextFunction): void => {
    const look = unseen.firstLook();
    if (look === undefined) next();
    else look.then(() => next(), next);
  };
}

/** A body of another kind than JSON is refused, not ignored; uploads are the exception. */
export function requireJson(request: Request, _response: Response, next: NextFunction): void {
  const upload = request.method === 'PUT';
  if (!hasBody(request) || upload || JSON_TYPE.test(request.headers['content-type'] ?? '')) next();
  else
    next(
      new ApiError('request.unsupported_media_type', {
        detail: 'A body must be sent as application/json.',
        remedy: 'Set the header Content-Type to application/json.',
      }),
    );
}
