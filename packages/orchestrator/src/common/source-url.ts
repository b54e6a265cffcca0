// SPDX-License-Identifier: Apache-2.0

/** What a URL that is downloaded from looks like; what it must be besides, `isSourceUrl` tells. */
export const SOURCE_URL_PATTERN = /^https?:\/\/[\x21-\x7e]+$/;
export const MAX_SOURCE_URL = 2048;

/** Whether something is a URL of HTTP or HTTPS without a name or password: these would be shown and stored. */
export function isSourceUrl(text: unknown): text is string {
  if (typeof text !== 'string' || text.length > MAX_SOURCE_URL || !SOURCE_URL_PATTERN.test(text) || !URL.canParse(text)) return false;
  const { username, password, hostname } = new URL(text);
  return username === '' && password === '' && hostname !== '';
}

/** A URL as it is shown: what follows a question mark may be a right to read, as of signed URLs. */
export function shownUrl(text: string): string {
  const { origin, pathname, search } = new URL(text);
  return `${origin}${pathname}${search === '' ? '' : '?…'}`;
}
