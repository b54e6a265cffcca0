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
