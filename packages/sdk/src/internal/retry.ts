// SPDX-License-Identifier: Apache-2.0
import { AbortedError } from '../core/errors.js';

/**
 * Worth repeating: no answer at all, or an answer that says "later", as 409 does while the first request under the same key goes on.
 * The idempotency key makes a repeat harmless.
 */
export function isRetryable(outcome: Response | Error): boolean {
  if (outcome instanceof Response && outcome.status === 409) return outcome.headers.has('retry-after');
  if (outcome instanceof Response) return [429, 502, 503, 504].includes(outcome.status) && !isProblem(outcome);
  return outcome.name !== 'AbortError';
}

/** Milliseconds before the next attempt: what the server asked for, else 100 ms doubled each time, with jitter. */
export function retryDelay(attempt: number, outcome: Response | Error): number {
  const asked = outcome instanceof Response ? Number(outcome.headers.get('retry-after')) : Number.NaN;
  if (Number.isFinite(asked) && asked > 0) return Math.min(asked * 1000, 30_000);
  return Math.min(100 * 2 ** attempt, 2_000) * (0.5 + Math.random() / 2);
}

export function idempotencyKey(): string {
  return globalThis.crypto.randomUUID();
}

/** Waits, unless the signal fires first. */
export function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(new AbortedError(signal.reason));
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(new AbortedError(signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** A problem document comes from the orchestrator itself: it has decided, repeating will not help (unless it says when). */
function isProblem(response: Response): boolean {
  return (response.headers.get('content-type') ?? '').startsWith('application/problem+json') && !response.headers.has('retry-after');
}
