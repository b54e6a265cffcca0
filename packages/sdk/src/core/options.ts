// SPDX-License-Identifier: Apache-2.0

/** How to reach an orchestrator. */
export interface ClientOptions {
  /** Address of the orchestrator. Default: `FLOTILLA_URL`, else `http://127.0.0.1:7070`. */
  readonly baseUrl?: string;
  /** API key (`flo_...`). Default: `FLOTILLA_API_KEY`. */
  readonly apiKey?: string;
  /** Milliseconds until a request without an answer is given up; a wait asked of the server is added. Default 30,000. */
  readonly timeoutMs?: number;
  /** How often a request is repeated when no answer came or the server asked to (409 with Retry-After, 429, 502, 503, 504). Uploads never are. Default 2. */
  readonly maxRetries?: number;
  /** A `fetch` of your own. */
  readonly fetch?: typeof globalThis.fetch;
}

/** Options that every call takes as its last argument. */
export interface RequestOptions {
  /** Ends the call; it then rejects with `AbortedError`. */
  readonly signal?: AbortSignal;
  /** Milliseconds; see {@link ClientOptions.timeoutMs}. */
  readonly timeoutMs?: number;
  /** See {@link ClientOptions.maxRetries}. */
  readonly maxRetries?: number;
  /** Repeats of one logical change (POST, PATCH, DELETE) carry the same key; made by the SDK when not given. At most 255 characters. */
  readonly idempotencyKey?: string;
  /** Only act if the resource still has this entity tag (`If-Match`). */
  readonly ifMatch?: string;
}
