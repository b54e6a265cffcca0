// SPDX-License-Identifier: Apache-2.0
import { readFileSync, statSync } from 'node:fs';

/** The name by which the device mapper knows a volume: hyphens are doubled, so that one alone is between the two. */
export function mapperName(group: string, volume: string): string {
  return [group, volume].map((name) => name.replaceAll('-', '--')).join('-');
}

/**
 * What is at a path, by the name that the device mapper has for it; `undefined`: nothing. Where there is no udev, the names in `/dev` are
 * as old as the last program that made them itself, and lead to whatever has the number now. All that is looked at is in memory.
 */
export function mappedAt(path: string): string | undefined {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  if (found === undefined) return undefined;
  if (!found.isBlockDevice()) return 'no block device';
  try {
    return readFileSync(`/sys/dev/block/${numberOf(found.rdev)}/dm/name`, 'utf8').trimEnd();
  } catch {
    return 'no logical volume';
  }
}

/** `major:minor` of a device number (makedev(3)). */
export function numberOf(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & ~0xfffn);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}
