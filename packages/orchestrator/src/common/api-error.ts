// SPDX-License-Identifier: Apache-2.0
import { ERROR_CODES, type ErrorCode, isErrorCode, statusOf } from './error-codes.js';
import { systemCode } from './system-code.js';

/** What to do when the data directory has no space left. */
export const POOL_FULL_REMEDY =
  'Free space on the file system of the data directory, or delete images and machines that are no longer needed.';

/** One field at fault. */
export interface Violation {
  code: ErrorCode;
  /** JSON path inside the body, for example `disks[0].image`. */
  field: string;
  detail: string;
  remedy: string;
}

/** What an error says beside its code. */
export interface ErrorFacts {
  detail: string;
  /** What the caller can do about it. */
  remedy: string;
  field?: string | undefined;
  /** Overrides the status that belongs to the code. */
  status?: number | undefined;
  errors?: Violation[] | undefined;
  cause?: unknown;
}

/** RFC 9457 problem document as the API answers and stores it. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  code: ErrorCode;
  detail: string;
  field?: string;
  remedy: string;
  requestId?: string;
  errors?: Violation[];
}

/** The one error class that reaches clients: code, status, text, field and remedy. */
export class ApiError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly remedy: string;
  readonly field: string | undefined;
  readonly errors: Violation[] | undefined;

  constructor(code: ErrorCode, facts: ErrorFacts) {
    super(facts.detail, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.name = 'ApiError';
    this.code = code;
    this.status = facts.status ?? statusOf(code);
    this.remedy = facts.remedy;
    this.field = facts.field;
    this.errors = facts.errors;
  }

  /** The same error, told about a field of the request. */
  at(field: string): ApiError {
    const { code, message: detail, remedy, status, errors, cause } = this;
    return new ApiError(code, { detail, remedy, field, status, errors, cause });
  }

  /** The error as clients get it. */
  toProblem(requestId?: string): ProblemDocument {
    return {
      type: `urn:flotilla:problem:${this.code}`,
      title: ERROR_CODES[this.code][1],
      status: this.status,
      code: this.code,
      detail: this.message,
      ...(this.field === undefined ? {} : { field: this.field }),
      remedy: this.remedy,
      ...(requestId === undefined ? {} : { requestId }),
      ...(this.errors === undefined ? {} : { errors: this.errors }),
    };
  }

  /** Rebuilds an error that crossed a process border as a problem document. */
  static fromProblem(problem: ProblemDocument): ApiError {
    return new ApiError(isErrorCode(problem.code) ? problem.code : 'internal', {
      detail: problem.detail,
      remedy: problem.remedy,
      field: problem.field,
      status: problem.status,
      errors: problem.errors,
    });
  }

  /** Any thrown value as an ApiError; what we do not know becomes `internal` without its text. */
  static from(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    if (isNoSpace(error)) {
      return new ApiError('pool.full', {
        detail: 'The file system of the storage pool has no space left.',
        remedy: POOL_FULL_REMEDY,
        cause: error,
      });
    }
    return new ApiError('internal', {
      detail: 'An unexpected error happened; the log of the orchestrator has it under this request id.',
      remedy: 'Try again; if it stays, report it with the request id.',
      cause: error,
    });
  }
}

/** Runs what needs space in the pool; that there is none, or no file so long, is told about the field that asked for it. */
export async function needingSpace<T>(field: string, run: () => Promise<T>, lengthField: string = field): Promise<T> {
  try {
    return await run();
  } catch (error) {
    const known = ApiError.from(error);
    if (known.code === 'pool.full') throw known.at(field);
    throw known.code === 'spec.disk_invalid' ? known.at(lengthField) : error;
  }
}

function isNoSpace(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL';
}
