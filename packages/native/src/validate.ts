// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from './generated/error-codes.js';
import { FlotillaError } from './errors.js';

/** Checks of arguments before they cross: the border itself takes NaN for 0 and 1e300 for the largest integer. */

/** A non-negative integer that a number holds exactly. */
export function requireBytes(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw invalid('spec.invalid_value', field, `${display(value)} is no whole number of 0 to 2^53 - 1`);
}

export function requireText(value: unknown, field: string): string {
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value;
  throw invalid('spec.invalid_type', field, `${display(value)} is no text, or an empty one, or holds a NUL`);
}

/** A text, which may be empty. */
export function requireAnyText(value: unknown, field: string): string {
  if (typeof value === 'string') return value;
  throw invalid('spec.invalid_type', field, `${display(value)} is no text`);
}

/** A user id, or nothing. */
export function requireUser(value: unknown, field: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** 32 - 1) return value;
  throw invalid('spec.invalid_value', field, `${display(value)} is no user id`);
}

/** A number of 0 to 65535. */
export function requireUint16(value: unknown, field: string): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff) return value;
  throw invalid('spec.invalid_value', field, `${display(value)} is no whole number of 0 to 65535`);
}

/** A specification as JSON. JSON would turn NaN and infinity into null without a word, and knows no BigInt. */
export function toJson(spec: unknown): string {
  if (typeof spec !== 'object' || spec === null) throw invalid('spec.invalid_type', '$', `${display(spec)} is no object`);
  refuseUnsayable(spec, '$', 0);
  return JSON.stringify(spec);
}

function refuseUnsayable(value: unknown, path: string, depth: number): void {
  if (depth > 32) throw invalid('spec.invalid_value', '$', 'The specification is nested too deeply');
  if (typeof value === 'bigint' || typeof value === 'function' || typeof value === 'symbol') {
    throw invalid('spec.invalid_type', path, `A ${typeof value} cannot stand in a specification`);
  }
  if (typeof value === 'number' && (!Number.isFinite(value) || Math.abs(value) > Number.MAX_SAFE_INTEGER)) {
    throw invalid('spec.invalid_value', path, `${value} is no number that JSON and the core agree on`);
  }
  if (typeof value !== 'object' || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    refuseUnsayable(item, Array.isArray(value) ? `${path}[${key}]` : `${path}.${key}`, depth + 1);
  }
}

function invalid(code: ErrorCode, field: string, message: string): FlotillaError {
  return new FlotillaError({ code, field, message });
}

function display(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 80)) : String(value);
}
