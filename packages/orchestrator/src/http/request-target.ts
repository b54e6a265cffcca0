// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, Server } from 'node:http';
import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../common/api-error.js';
import { isPrototypeKey } from '../common/names.js';

const ESCAPED_CONTROL_CHARACTER = /%(?:[01][0-9a-f]|7f)/i;

/**
 * Leaves of each target its path and query. A proxy may send the whole address (RFC 9112, 3.2.2), of which an empty path is `/`;
 * Express does not find a path in each, and then answers by itself, past our problem documents.
 */
export function takeTargetsInAnyForm(server: Server): void {
  server.prependListener('request', (request: IncomingMessage) => {
    if (request.url?.startsWith('/') !== true) request.url = originForm(request.url ?? '');
  });
}

function originForm(target: string): string {
  if (!URL.canParse(target)) return '/';
  const { pathname, search } = new URL(target);
  return `${pathname.startsWith('/') ? pathname : '/'}${search}`;
}

/** No id, name or other text of a target has control characters, and PostgreSQL takes no NUL. Queries have no keys of JavaScript's own. */
export function requirePlainTarget(request: Request, _response: Response, next: NextFunction): void {
  if (ESCAPED_CONTROL_CHARACTER.test(request.url)) {
    next(
      new ApiError('request.malformed', {
        detail: 'The path or query has a control character.',
        remedy: 'Check the escapes of the path and the query.',
      }),
    );
    return;
  }
  const field = Object.keys(request.query).find(isPrototypeKey);
  if (field === undefined) next();
  else
    next(
      new ApiError('request.unknown_field', {
        detail: `${field} is not a known field.`,
        remedy: 'Remove it, or check its spelling.',
        field,
      }),
    );
}
