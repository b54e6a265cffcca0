// SPDX-License-Identifier: Apache-2.0
import { abortedError, settled } from './errors.js';
import { CancelToken } from './native.js';

/** Runs a call that can be withdrawn. It rejects when the core has cleaned up, so nothing is left behind. */
export async function withSignal<T>(signal: AbortSignal | undefined, call: (cancel: CancelToken) => Promise<unknown>): Promise<T> {
  if (signal?.aborted) throw abortedError(signal);
  const cancel = new CancelToken();
  const abort = (): void => cancel.cancel();
  signal?.addEventListener('abort', abort, { once: true });
  try {
    return await settled<T>(() => call(cancel));
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

/** Asks for what cannot be taken back: after an abort the caller waits no longer. Nothing is asked when it was aborted before. */
export async function withdrawable(signal: AbortSignal | undefined, call: () => Promise<unknown>): Promise<void> {
  if (signal?.aborted) throw abortedError(signal);
  if (signal === undefined) return settled(call);
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = (): void => reject(abortedError(signal));
    signal.addEventListener('abort', abort, { once: true });
  });
  try {
    // A call that fails after the abort is handled by the race.
    await Promise.race([settled(call), aborted]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
