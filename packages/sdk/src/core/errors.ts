// SPDX-License-Identifier: Apache-2.0

/** What a problem document of the API says (RFC 9457), whatever the cause. */
export interface Problem {
  readonly type?: string;
  readonly title?: string;
  readonly status: number;
  /** Stable, dotted: `machine.name_taken`. Programs decide on this, never on a text. */
  readonly code: string;
  readonly detail?: string;
  /** JSON path of the field at fault. */
  readonly field?: string;
  /** What to do next. */
  readonly remedy?: string;
  readonly requestId?: string;
  readonly errors?: ReadonlyArray<{ readonly code: string; readonly field?: string; readonly detail?: string; readonly remedy?: string }>;
}

/** Every failure this SDK reports. */
export class FlotillaError extends Error {
  override readonly name: string = 'FlotillaError';
  /** Stable and dotted, as in {@link Problem.code}; failures without an answer use `connection.*` and `aborted`. */
  readonly code: string;
  /** What to do next. */
  readonly remedy: string | undefined;

  constructor(message: string, options: { code: string; remedy?: string | undefined; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code;
    this.remedy = options.remedy;
  }
}

/** No answer came: the server is not there, the connection broke, or time ran out. */
export class ConnectionError extends FlotillaError {
  override readonly name: string = 'ConnectionError';
}

/** The caller's `AbortSignal` fired. */
export class AbortedError extends FlotillaError {
  override readonly name: string = 'AbortedError';

  constructor(cause?: unknown) {
    super('The request was aborted by its signal', { code: 'aborted', cause });
  }
}

/** The server answered with a problem. */
export class ApiError extends FlotillaError {
  override readonly name: string = 'ApiError';
  readonly status: number;
  readonly problem: Problem;
  /** Quote it when you report a fault: the server's log has it. */
  readonly requestId: string | undefined;
  /** JSON path of the field at fault. */
  readonly field: string | undefined;

  constructor(problem: Problem) {
    super(describe(problem), { code: problem.code, remedy: problem.remedy });
    this.status = problem.status;
    this.problem = problem;
    this.requestId = problem.requestId;
    this.field = problem.field ?? problem.errors?.[0]?.field;
  }
}

/** 400, 413, 415, 422: the request itself is at fault; `field` says where. */
export class InvalidRequestError extends ApiError {
  override readonly name: string = 'InvalidRequestError';
}
/** 401: no key, or one the server does not know. */
export class AuthenticationError extends ApiError {
  override readonly name: string = 'AuthenticationError';
}
/** 403: the key's role lacks the permission that the text names. */
export class PermissionError extends ApiError {
  override readonly name: string = 'PermissionError';
}
/** 404: nothing of that id or name. */
export class NotFoundError extends ApiError {
  override readonly name: string = 'NotFoundError';
}
/** 409: the request contradicts the present state. */
export class ConflictError extends ApiError {
  override readonly name: string = 'ConflictError';
}
/** 412: the resource changed since it was read. */
export class PreconditionError extends ApiError {
  override readonly name: string = 'PreconditionError';
}
/** 5xx: the server or its host could not do it. */
export class ServerError extends ApiError {
  override readonly name: string = 'ServerError';
}

/** An operation ended as failed or cancelled. */
export class OperationError extends FlotillaError {
  override readonly name: string = 'OperationError';
  readonly operationId: string;
  readonly problem: Problem | undefined;

  constructor(operationId: string, state: string, problem: Problem | undefined) {
    super(problem === undefined ? `Operation ${operationId} ended as ${state}` : describe(problem), {
      code: problem?.code ?? `operation.${state}`,
      remedy: problem?.remedy,
    });
    this.operationId = operationId;
    this.problem = problem;
  }
}

/** The error class for a problem document. */
export function errorFor(problem: Problem): ApiError {
  const classes: Record<number, new (problem: Problem) => ApiError> = {
    400: InvalidRequestError,
    401: AuthenticationError,
    403: PermissionError,
    404: NotFoundError,
    409: ConflictError,
    412: PreconditionError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
  };
  const Class = classes[problem.status] ?? (problem.status >= 500 ? ServerError : ApiError);
  return new Class(problem);
}

function describe(problem: Problem): string {
  const what = problem.detail ?? problem.title ?? problem.code;
  return problem.remedy === undefined ? what : `${what.replace(/\.$/, '')}. ${problem.remedy}`;
}
