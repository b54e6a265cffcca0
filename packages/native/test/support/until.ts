// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';

/** Looks again and again until there is something, and gives that. */
export async function until<T>(look: () => Promise<T | undefined | false>, milliseconds = 30_000): Promise<T> {
  const deadline = performance.now() + milliseconds;
  while (performance.now() < deadline) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    await sleep(5);
  }
  throw new Error(`It did not come about within ${milliseconds} ms`);
}
