// SPDX-License-Identifier: Apache-2.0
import { eventually } from './host.js';
import { bootLimitMs } from './limits.js';

/** So much of what a guest wrote tells where it stopped. */
const shownLength = 2000;

/** Waits until a guest has written `pattern`; the error has the end of what it wrote instead. */
export async function written(pattern: RegExp, output: () => string): Promise<void> {
  try {
    await eventually(`the guest writes ${pattern.source}`, bootLimitMs, () => pattern.test(output()));
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}; it wrote ${JSON.stringify(output().slice(-shownLength))}`);
  }
}
