// SPDX-License-Identifier: Apache-2.0
/** Names of resources: also valid as DNS labels. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;
/** Form of all ids. No name may have it: wherever an id or a name may be given, it would stand for two resources. */
const ID_PATTERN = /^(mac|img|vol|net|fwd|poo|op|key|hos|req)-[0-9a-z]{26}$/;
/** MAC addresses in the usual notation. */
export const MAC_PATTERN = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/;
/** SHA-256 digests in hexadecimal. */
export const SHA256_PATTERN = /^[0-9a-f]{64}$/;

const LABEL_KEY = /^[a-z0-9A-Z]([a-z0-9A-Z._/-]{0,61}[a-z0-9A-Z])?$/;
const LABEL_VALUE = /^[a-z0-9A-Z._:/@+ -]{0,255}$/;
const MAX_LABELS = 64;

/** Labels of a resource. */
export type Labels = Record<string, string>;

/** Whether a text has the form of an id, so that nothing may be named like that. */
export function looksLikeId(text: unknown): boolean {
  return typeof text === 'string' && ID_PATTERN.test(text);
}

/** Whether a value is a map of at most 64 well-formed labels. */
export function isLabels(value: unknown): value is Labels {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
  const entries = Object.entries(value);
  return (
    entries.length <= MAX_LABELS &&
    entries.every(([key, text]) => LABEL_KEY.test(key) && !isPrototypeKey(key) && typeof text === 'string' && LABEL_VALUE.test(text))
  );
}

/** Whether a key is one that JavaScript's own objects have, and that Nest and class-transformer therefore leave out without a word. */
export function isPrototypeKey(key: string): boolean {
  return key === '__proto__' || key === 'constructor' || key === 'prototype';
}

/** Whether a MAC address may belong to one machine: not multicast, not all zero. */
export function isUnicastMac(mac: unknown): mac is string {
  return (
    typeof mac === 'string' && MAC_PATTERN.test(mac) && (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0 && mac !== '00:00:00:00:00:00'
  );
}
