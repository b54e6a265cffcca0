// SPDX-License-Identifier: Apache-2.0
import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../common/api-error.js';
import { runInContext } from '../common/context.js';
import { newId } from '../common/ids.js';

const JSON_TYPE = /^application\/([\w.+-]+\+)?json\b/i;
/** Bounds of a JSON body: the largest that means something has a few hundred values, eight deep. */
const MAX_VALUES = 10_000;
const MAX_DEPTH = 32;

/** First of all: an id for the request, sent back on every answer and known to everything below. */
export function requestContext(_request: Request, response: Response, next: NextFunction): void {
  const requestId = newId('req');
  response.setHeader('X-Request-Id', requestId);
  response.setHeader('X-Content-Type-Options', 'nosniff');
  runInContext({ requestId }, next);
}

/** A body of another kind than JSON is refused, not ignored; uploads are the exception. */
export function requireJson(request: Request, _response: Response, next: NextFunction): void {
  const hasBody = request.headers['transfer-encoding'] !== undefined || (request.headers['content-length'] ?? '0') !== '0';
  const upload = request.method === 'PUT';
  if (!hasBody || upload || JSON_TYPE.test(request.headers['content-type'] ?? '')) next();
  else
    next(
      new ApiError('request.unsupported_media_type', {
        detail: 'A body must be sent as application/json.',
        remedy: 'Set the header Content-Type to application/json.',
      }),
    );
}

/**
 * A body must be an object: lists would slip past the checks of fields. It must be small too: those checks look at every value,
 * call themselves for nested ones, and tell about each fault, so a mebibyte of `{}` would cost hundreds.
 */
export function requireObject(request: Request, _response: Response, next: NextFunction): void {
  const body: unknown = request.body;
  if (body === undefined || (typeof body === 'object' && body !== null && !Array.isArray(body)))
    next(isModest(body) ? undefined : tooMuch());
  else next(new ApiError('request.invalid_type', { detail: 'The body must be a JSON object.', remedy: 'Send a JSON object in braces.' }));
}

/** Whether a value has few enough values in it, and not too deep. Looks at them level by level, since recursion is what it guards. */
export function isModest(body: unknown): boolean {
  let level: unknown[] = [body];
  for (let depth = 0, count = 0; level.length > 0; depth += 1) {
    count += level.length;
    if (depth > MAX_DEPTH || count > MAX_VALUES) return false;
    level = level.flatMap((value) => (typeof value === 'object' && value !== null ? (Object.values(value) as unknown[]) : []));
  }
  return true;
}

function tooMuch(): ApiError {
  return new ApiError('request.too_large', {
    detail: `A body may have at most ${MAX_VALUES} values, nested at most ${MAX_DEPTH} deep.`,
    remedy: 'Send less.',
  });
}
