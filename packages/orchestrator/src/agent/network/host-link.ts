// SPDX-License-Identifier: Apache-2.0
// What is known of a link of this host without asking `ip`.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** A folder of the kernel with one for each link; a kernel without IPv4 has none. */
const LINKS = '/proc/sys/net/ipv4/conf';

/**
 * Whether there may be a link of that name where this process sees the network. `ip` has the kernel look for a driver of each name that
 * is not there, twice, and that takes longer than all else that makes a link.
 */
export function isThere(name: string): boolean {
  return !existsSync(LINKS) || existsSync(join(LINKS, name));
}

/** Alias that every link of ours carries. */
export function linkLabel(id: string): string {
  return `flotilla:${id}`;
}
