// SPDX-License-Identifier: Apache-2.0
import type { Body, Orchestrator } from './orchestrator.js';

/** Reads events until enough came; calls back when the stream has told where it begins. */
export async function follow(
  flotilla: Orchestrator,
  path: string,
  enough: (events: Body[]) => boolean,
  headers: Record<string, string> = {},
  opened: () => void = () => undefined,
): Promise<Body[]> {
  const stop = AbortSignal.timeout(120_000);
  const response = await fetch(`${flotilla.url}${path}`, {
    headers: { authorization: `Bearer ${flotilla.key}`, ...headers },
    signal: stop,
  });
  const events: Body[] = [];
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk as Uint8Array).toString();
    opened();
    const parts = text.split('\n\n');
    text = parts.pop() ?? '';
    for (const part of parts) {
      const data = /^data: (.*)$/m.exec(part)?.[1];
      if (data !== undefined) events.push(JSON.parse(data) as Body);
    }
    if (enough(events)) break;
  }
  return events;
}
