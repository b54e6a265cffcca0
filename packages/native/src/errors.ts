// SPDX-License-Identifier: Apache-2.0
import { ERROR_CODES, type ErrorCode, isErrorCode } from './generated/error-codes.js';
import type { Violation } from './generated/spec.js';

/** What a FlotillaError is made of. */
export interface FlotillaErrorInit {
  code: ErrorCode;
  message: string;
  /** JSON path of the value at fault, such as `$.boot.kernel`. */
  field?: string | undefined;
  /** Default: the general remedy of the code. */
  remedy?: string | undefined;
  details?: FlotillaErrorDetails | undefined;
  cause?: unknown;
}

/** More about an error. */
export interface FlotillaErrorDetails {
  /** Every fault of a specification, when there is more than one. */
  violations?: Violation[];
}

/** The only error this package rejects with. Told apart by `code`. */
export class FlotillaError extends Error {
  override readonly name = 'FlotillaError';
  readonly code: ErrorCode;
  readonly field?: string;
  readonly remedy: string;
  readonly details?: FlotillaErrorDetails;

  constructor({ code, message, field, remedy, details, cause }: FlotillaErrorInit) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.remedy = remedy ?? ERROR_CODES[code].remedy;
    if (field !== undefined) this.field = field;
    if (details !== undefined) this.details = details;
  }
}

/** The error that says that the caller withdrew the call. */
export function abortedError(signal: AbortSignal | undefined): FlotillaError {
  return new FlotillaError({ code: 'aborted', message: 'The call was aborted', cause: signal?.reason });
}

/** Whether a call failed because its caller withdrew it. */
export function isAborted(error: unknown): boolean {
  return error instanceof FlotillaError && error.code === 'aborted';
}

/** What the core rejected with, as an error of this package. Anything without a code of ours is our own fault. */
export function fromNative(thrown: unknown): FlotillaError {
  if (thrown instanceof FlotillaError) return thrown;
  const { code, message, field, remedy, violations } = (thrown ?? {}) as NativeError;
  if (!isErrorCode(code)) {
    return new FlotillaError({ code: 'core.panic', message: `Flotilla failed inside: ${message ?? String(thrown)}`, cause: thrown });
  }
  const details = violations === undefined ? undefined : { violations };
  return new FlotillaError({ code, message: message ?? code, field, remedy, details });
}

/** Waits for a call into the core. Takes a function, because a call may also throw at once. */
export async function settled<T>(call: () => Promise<unknown>): Promise<T> {
  try {
    return (await call()) as T;
  } catch (error) {
    throw fromNative(error);
  }
}

interface NativeError {
  code?: unknown;
  message?: string;
  field?: string;
  remedy?: string;
  violations?: Violation[];
}
