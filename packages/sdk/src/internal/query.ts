// SPDX-License-Identifier: Apache-2.0

export type QueryValue = string | number | boolean | Readonly<Record<string, string>> | readonly string[] | undefined;

/** A query string with its `?`, or nothing. Label maps become `k=v,k2=v2`, lists become `a,b`. */
export function query(values: Readonly<Record<string, QueryValue>>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    const text = toText(value);
    if (text !== undefined) search.set(name, text);
  }
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

function toText(value: QueryValue): string | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object') return String(value);
  const parts = Array.isArray(value) ? (value as readonly string[]) : Object.entries(value).map(([key, text]) => `${key}=${text}`);
  return parts.length === 0 ? undefined : parts.join(',');
}
