// SPDX-License-Identifier: Apache-2.0
import { AbortedError, ConnectionError, errorFor, type Problem } from '../core/errors.js';
import type { ClientOptions, RequestOptions } from '../core/options.js';
import { environment } from './environment.js';
import { idempotencyKey, isRetryable, retryDelay, sleep } from './retry.js';

const defaultTimeoutMs = 30_000;
const defaultMaxRetries = 2;

/** One request to the API. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is; a stream cannot be repeated. */
  readonly body?: BodyInit;
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds the server is asked to hold its answer. */
  readonly waitSeconds?: number | undefined;
  /** How long it takes depends on the caller's own data: only the signal ends it. */
  readonly unhurried?: boolean;
}

/** The one place that sends: keys, time limits, repeats, problem documents. */
export class Transport {
  readonly baseUrl: string;
  readonly #apiKey: string | undefined;
  readonly #timeoutMs: number;
  readonly #maxRetries: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor(options: ClientOptions) {
    this.baseUrl = (options.baseUrl ?? environment('FLOTILLA_URL') ?? 'http://127.0.0.1:7070').replace(/\/+$/, '');
    this.#apiKey = options.apiKey ?? environment('FLOTILLA_API_KEY');
    this.#timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    this.#maxRetries = options.maxRetries ?? defaultMaxRetries;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** Headers that say who calls. */
  authorization(): Record<string, string> {
    return this.#apiKey === undefined ? {} : { authorization: `Bearer ${this.#apiKey}` };
  }

  /** The key itself, for a browser's WebSocket, which cannot send headers. */
  get accessToken(): string | undefined {
    return this.#apiKey;
  }

  async json<T>(call: Call, options: RequestOptions = {}): Promise<T> {
    const response = await this.send(call, options);
    return (response.status === 204 ? undefined : await response.json()) as T;
  }

  async send(call: Call, options: RequestOptions = {}): Promise<Response> {
    const headers = this.#headers(call, options);
    const attempts = call.method === 'GET' || takesKey(call) ? (options.maxRetries ?? this.#maxRetries) : 0;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#attempt(call, headers, options);
      if (outcome instanceof Response && outcome.ok) return outcome;
      if (attempt >= attempts || !isRetryable(outcome)) throw await this.#failure(outcome, options.signal);
      if (outcome instanceof Response) await outcome.body?.cancel();
      await sleep(retryDelay(attempt, outcome), options.signal);
    }
  }

  #headers(call: Call, options: RequestOptions): Record<string, string> {
    const headers: Record<string, string> = { accept: 'application/json', ...this.authorization(), ...call.headers };
    if (call.json !== undefined) headers['content-type'] = 'application/json';
    if (takesKey(call)) headers['idempotency-key'] = options.idempotencyKey ?? idempotencyKey();
    if (options.ifMatch !== undefined) headers['if-match'] = options.ifMatch;
    if (call.waitSeconds !== undefined && call.waitSeconds > 0) headers['prefer'] = `wait=${Math.ceil(call.waitSeconds)}`;
    return headers;
  }

  async #attempt(call: Call, headers: Record<string, string>, options: RequestOptions): Promise<Response | Error> {
    const limit = new AbortController();
    const milliseconds = (options.timeoutMs ?? this.#timeoutMs) + (call.waitSeconds ?? 0) * 1000;
    const timer =
      call.unhurried === true
        ? undefined
        : setTimeout(
            () =>
              limit.abort(
                new ConnectionError(`No answer from ${this.baseUrl} within ${milliseconds} ms`, {
                  code: 'connection.timeout',
                  remedy: 'Check that the orchestrator is well (`flotilla doctor`), or allow more time with timeoutMs',
                }),
              ),
            milliseconds,
          );
    const signals = options.signal === undefined ? [limit.signal] : [limit.signal, options.signal];
    try {
      const body = call.json === undefined ? call.body : JSON.stringify(call.json);
      return await this.#fetch(`${this.baseUrl}${call.path}`, {
        method: call.method,
        headers,
        signal: AbortSignal.any(signals),
        ...(body === undefined ? {} : { body }),
        ...(body instanceof ReadableStream ? { duplex: 'half' } : {}),
      } as RequestInit);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    } finally {
      clearTimeout(timer);
    }
  }

  async #failure(outcome: Response | Error, signal: AbortSignal | undefined): Promise<Error> {
    if (outcome instanceof Response) return errorFor(await readProblem(outcome));
    if (signal?.aborted === true) return new AbortedError(signal.reason);
    if (outcome instanceof ConnectionError) return outcome;
    return new ConnectionError(`Cannot reach the orchestrator at ${this.baseUrl}`, {
      code: 'connection.failed',
      remedy: 'Start it with `flotilla up`, or give its address as baseUrl or FLOTILLA_URL',
      cause: outcome,
    });
  }
}

/** Whatever changes something carries a key, so that a repeat is answered as the first one was; uploads cannot, and are not repeated. */
function takesKey({ method, body }: Call): boolean {
  return method !== 'GET' && method !== 'PUT' && body === undefined;
}

async function readProblem(response: Response): Promise<Problem> {
  const fallback: Problem = {
    status: response.status,
    code: `http.${response.status}`,
    title: response.statusText || `Status ${response.status}`,
    remedy: 'The answer is not from an orchestrator: check the address and any proxy between',
  };
  const requestId = response.headers.get('x-request-id');
  try {
    const body = (await response.json()) as Partial<Problem>;
    return { ...fallback, ...(requestId === null ? {} : { requestId }), ...body, status: response.status };
  } catch {
    return fallback;
  }
}
