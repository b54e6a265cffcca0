// SPDX-License-Identifier: Apache-2.0
import http from 'node:http';
import { fetchThrough } from './fetch.js';
import { TrustedAgent } from './trusted-agent.js';

/**
 * A `fetch` that sends to processes of root, of our own user and of `owner` alone. From then on the consoles of this process do so too:
 * the SDK opens these by Node's own client, which takes the global agent.
 */
export function trustedFetch(owner: number | undefined): typeof globalThis.fetch {
  http.globalAgent = new TrustedAgent(owner === undefined ? [] : [owner]);
  return fetchThrough(http.globalAgent);
}
