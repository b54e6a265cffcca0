// SPDX-License-Identifier: Apache-2.0
// LVM tags (lvm(8)) by which we know what is ours. A tag is set and taken away in the commit of metadata that is a change by itself.
import type { LogicalVolume } from './logical-volumes.js';

/** On all that is ours, for people: `lvs @flotilla`. */
export const OURS = 'flotilla';
const POOL = 'flotilla.pool.';
/** On a volume that is not whole: it is being made, or removed. */
export const HALF_MADE = 'flotilla.half-made';
const ASIDE = 'flotilla.aside.';
const GROWING = 'flotilla.grows-from.';

/** Says whose a group, a thin pool or a volume is. */
export function poolTag(pool: string): string {
  return `${POOL}${pool}`;
}

/** The pool that a group or thin pool belongs to. */
export function ownerOf(tags: readonly string[]): string | undefined {
  return after(tags, POOL);
}

/** Says when a volume that nobody owns was set aside, in seconds since 1970. */
export function asideTag(milliseconds: number): string {
  return `${ASIDE}${Math.floor(milliseconds / 1000)}`;
}

/** When a volume was set aside, in milliseconds since 1970. */
export function asideSince({ tags }: LogicalVolume): number | undefined {
  const since = number(after(tags, ASIDE));
  return since === undefined ? undefined : since * 1000;
}

/** Says that a volume was so many bytes long, and what comes after them may be what others left. */
export function growthTag(bytes: number): string {
  return `${GROWING}${bytes}`;
}

export function growsFrom({ tags }: LogicalVolume): number | undefined {
  return number(after(tags, GROWING));
}

export function isWhole({ tags }: LogicalVolume): boolean {
  return !tags.includes(HALF_MADE);
}

function after(tags: readonly string[], prefix: string): string | undefined {
  return tags.find((tag) => tag.startsWith(prefix))?.slice(prefix.length);
}

function number(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
