// SPDX-License-Identifier: Apache-2.0
import type { NextFunction, Request, Response } from 'express';
import { ApiError } from '../common/api-error.js';
import { isPrototypeKey } from '../common/names.js';

/** Bounds of a JSON body: the largest that means something has a few hundred values, eight deep. */
const MAX_VALUES = 10_000;
const MAX_DEPTH = 32;

type Located = [path: string, value: unknown];

/**
 * A body must be an object: lists would slip past the checks of fields. It must be small too: those checks look at every value,
 * call themselves for nested ones, and tell about each fault, so a mebibyte of `{}` would cost hundreds.
 */
export function requireObject(request: Request, _response: Response, next: NextFunction): void {
  const body: unknown = request.body;
  if (body === undefined || (typeof body === 'object' && body !== null && !Array.isArray(body))) next(faultOf(body));
  else next(new ApiError('request.invalid_type', { detail: 'The body must be a JSON object.', remedy: 'Send a JSON object in braces.' }));
}

/**
 * What no field of any body may have: too many values, too deep, keys that the checks of fields do not see, and texts that no database
 * keeps. Looks at the values level by level, since recursion is what it guards.
 */
export function faultOf(body: unknown): ApiError | undefined {
  let level: Located[] = [['', body]];
  for (let depth = 0, count = 1; level.length > 0; depth += 1) {
    if (depth > MAX_DEPTH) return tooMuch();
    const below: Located[] = [];
    for (const [path, value] of level) {
      if (typeof value === 'string' && value.includes('\0')) return nulIn(path);
      if (typeof value !== 'object' || value === null) continue;
      for (const [key, inner] of Object.entries(value)) {
        if (isPrototypeKey(key)) return unknownKey(path, key);
        count += 1;
        if (count > MAX_VALUES) return tooMuch();
        below.push([Array.isArray(value) ? `${path}[${key}]` : under(path, key), inner]);
      }
    }
    level = below;
  }
  return undefined;
}

function under(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function tooMuch(): ApiError {
  return new ApiError('request.too_large', {
    detail: `A body may have at most ${MAX_VALUES} values, nested at most ${MAX_DEPTH} deep.`,
    remedy: 'Send less.',
  });
}

/** They are left out before fields are checked, so that nothing later could refuse them. */
function unknownKey(path: string, key: string): ApiError {
  const labels = path === 'labels';
  const code = labels ? 'request.invalid_labels' : 'request.unknown_field';
  const field = labels ? path : under(path, key);
  const detail = labels ? `labels may not have the key ${key}` : `${field} is not a known field`;
  const remedy = labels ? 'Give the label another key.' : 'Remove it, or check its spelling.';
  return new ApiError(code, { detail: `${detail}.`, remedy, field, errors: [{ code, field, detail, remedy }] });
}

function nulIn(field: string): ApiError {
  const [detail, remedy] = [`${field} has a NUL character`, 'Give a text without it.'];
  return new ApiError('request.invalid_type', {
    detail: `${detail}.`,
    remedy,
    field,
    errors: [{ code: 'request.invalid_type', field, detail, remedy }],
  });
}
