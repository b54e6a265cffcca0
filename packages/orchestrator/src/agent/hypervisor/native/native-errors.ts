// SPDX-License-Identifier: Apache-2.0
import { ApiError, type Violation } from '../../../common/api-error.js';
import type { ErrorCode } from '../../../common/error-codes.js';
import { API_CODES, remedyOf } from './native-codes.js';

interface NativeFault {
  code: string;
  message: string;
  field?: string;
  remedy?: string;
  details?: { violations?: { code: string; path: string; message?: string; remedy?: string }[] };
}

/** An error of the core in the words of the API. */
export function fromNative(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string' || !Object.hasOwn(API_CODES, error.code))
    return ApiError.from(error);
  const fault = error as Error & NativeFault;
  const violations = fault.details?.violations?.map(
    (one): Violation => ({
      code: apiCode(one.code),
      field: apiField(one.path) ?? '',
      detail: one.message ?? one.code,
      remedy: remedyFor(apiCode(one.code), one.remedy),
    }),
  );
  const code = apiCode(fault.code);
  return new ApiError(code, {
    detail: fault.message,
    remedy: remedyFor(code, fault.remedy),
    field: apiField(fault.field),
    cause: error,
    ...(violations === undefined || violations.length < 2 ? {} : { errors: violations }),
  });
}

/** Runs a call of the core and translates what it throws. */
export async function native<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw fromNative(error);
  }
}

/** Code of an error of the core; empty when it has none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

function apiCode(code: string): ErrorCode {
  return (API_CODES as Readonly<Record<string, ErrorCode>>)[code] ?? 'worker.failed';
}

function remedyFor(code: ErrorCode, given: string | undefined): string {
  return remedyOf(code) ?? given ?? 'Run `flotilla doctor`; look in the log of the worker.';
}

/** A path into the specification of the core as the field that the client gave: `$.disks[0].source.path` came from `disks[0]`. */
function apiField(path: string | undefined): string | undefined {
  const field = path
    ?.replace(/^\$\.?/, '')
    .replace(/^(numa\[\d+\]\.)?memory$/, '$1memoryMiB')
    .replace(/^((?:disks|interfaces)\[\d+\])\.id$/, '$1.name')
    .replace(/^(disks\[\d+\]|boot\.\w+)\.(?:source|path|format)(?:\..*)?$/, '$1')
    .replace(/^(interfaces\[\d+\])\.tap(?:\..*)?$/, '$1')
    .replace(/^(shares\[\d+\])\.source(?:\.path)?$/, '$1.path')
    .replace(/^balloon\.target$/, 'balloon.targetMiB')
    .replace(/^balloon\.statisticsInterval$/, 'balloon.statisticsSeconds')
    .replace(/^vsock\.socket(?:\..*)?$/, 'vsock');
  return field === '' ? undefined : field;
}
