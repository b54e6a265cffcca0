// SPDX-License-Identifier: Apache-2.0
import { sleep } from '../internal/retry.js';
import { AbortedError } from './errors.js';

/** Asks at once and then every `intervalMs`, measured from one question to the next, until the loop is left or the signal fires. */
export async function* poll<T>(ask: () => Promise<T>, intervalMs: number, signal?: AbortSignal): AsyncGenerator<T> {
  for (;;) {
    const next = Date.now() + intervalMs;
    yield await ask();
    if (signal?.aborted === true) throw new AbortedError(signal.reason);
    await sleep(Math.max(0, next - Date.now()), signal);
  }
}
