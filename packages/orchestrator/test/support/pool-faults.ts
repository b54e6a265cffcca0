// SPDX-License-Identifier: Apache-2.0
import type { Orchestrator } from './orchestrator.js';

/** The steps of what can be done with a pool. */
export const POOL_STEPS = { define: ['make', 'open'], stop: ['close'], delete: ['open', 'close', 'remove'] } as const;

export type PoolVerb = keyof typeof POOL_STEPS;

/** The pool that a suite works on. */
export interface PoolInHand {
  readonly define: () => Promise<unknown>;
  readonly act: (verb: 'start' | 'stop') => Promise<unknown>;
  readonly remove: () => Promise<unknown>;
  /** Its `state` is undefined when it is not there. */
  readonly get: () => Promise<Record<string, unknown>>;
}

/** Does it once for each point where the orchestrator can die, and gives `look` each point when the next one has ended what it found. */
export async function dieAtEachStep(
  flotilla: Orchestrator,
  pool: PoolInHand,
  verb: PoolVerb,
  look: (point: string) => void,
): Promise<void> {
  const ask = () => (verb === 'define' ? pool.define() : verb === 'stop' ? pool.act('stop') : pool.remove());
  for (const point of POOL_STEPS[verb].flatMap((step) => [`pool.${verb}.${step}.begin`, `pool.${verb}.${step}`])) {
    if (verb === 'define') await pool.remove();
    else if ((await pool.get())['state'] === undefined) await pool.define();
    else await pool.act('start');
    await flotilla.stop();
    await flotilla.start({ FLOTILLA_FAULT: point });
    await ask().catch(() => undefined);
    await flotilla.died();
    await flotilla.start();
    await settled(flotilla, point);
    look(point);
  }
}

/** Waits until nothing is pending that `what` interrupted. */
export async function settled(flotilla: Orchestrator, what: string): Promise<void> {
  await flotilla.waitFor(`the end of what was interrupted at ${what}`, async () => {
    const items = [...((await flotilla.call('GET', '/v1/operations?limit=200')).body['items'] ?? [])];
    return items.every((one) => !['pending', 'running'].includes(String(one['state'])));
  });
}
