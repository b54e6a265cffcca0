// SPDX-License-Identifier: Apache-2.0
// What is known of a link of this host without asking `ip`.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Whether there is a link of that name where this process sees the network. `ip` has the kernel look for a driver of each name that is not
 * there, twice, and that takes longer than all else that makes a link.
 */
export function isThere(name: string): boolean {
  return existsSync(join('/proc/sys/net/ipv4/conf', name));
}

/** Alias that every link of ours carries. */
export function linkLabel(id: string): string {
  return `flotilla:${id}`;
}
