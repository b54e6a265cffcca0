// SPDX-License-Identifier: Apache-2.0
import { isSourceUrl } from '../common/source-url.js';
import { isAddress } from '../common/user-network.js';
import { isOuter, isPrivate, isUnicast, parseIpv4, parseNetwork, type Subnet } from '../common/ipv4.js';
import type { IdPrefix } from '../common/ids.js';

/** Looks at one value; answers the path of the first that is wrong, `undefined` when all is well. */
export type Check = (value: unknown, path: string) => string | undefined;

/** One check for each field of a command, optional ones too: the compiler proves that none is forgotten. */
export type Fields<T> = { [K in keyof Required<T>]: Check };

function when(holds: (value: unknown) => boolean): Check {
  return (value, path) => (holds(value) ? undefined : path);
}

/** No value at all. */
export const nothing = when((value) => value === undefined || value === null);
export const bool = when((value) => typeof value === 'boolean');
/** IPv4 or IPv6. */
export const ipAddress = when(isAddress);
export const ipv4 = when((value) => typeof value === 'string' && parseIpv4(value) !== undefined);
export const sourceUrl = when(isSourceUrl);
/** An absolute path; where it may lead is decided by who opens it. */
export const absolutePath = text(/^\/[^\0\n\r]{0,4095}$/);

function subnetThat(holds: (subnet: Subnet) => boolean): Check {
  return when((value) => {
    const subnet = typeof value === 'string' ? parseNetwork(value) : undefined;
    return subnet !== undefined && holds(subnet);
  });
}

export function text(pattern: RegExp): Check {
  return when((value) => typeof value === 'string' && pattern.test(value));
}

export function oneOf(...values: readonly unknown[]): Check {
  return when((value) => values.includes(value));
}

export function int(min: number, max: number): Check {
  return when((value) => typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max);
}

/** An id of a kind: it becomes the name of a file, a directory or a link. */
export function id(prefix: IdPrefix): Check {
  return text(new RegExp(`^${prefix}-[0-9a-z]{26}$`));
}

/** A subnet that no route to elsewhere can be lost to: private, and given by its first address. */
export const privateSubnet = subnetThat(isPrivate);
/** One that machines can have and others can reach: what an administrator routes to this host. */
export const unicastSubnet = subnetThat(isUnicast);

/** An IPv4 address at which others than the host itself reach it. */
export const outerIpv4 = when((value) => typeof value === 'string' && isOuter(value));

/** `<first>-<last>`. */
export const ipv4Range = when(
  (value) => typeof value === 'string' && value.split('-').length === 2 && value.split('-').every((one) => parseIpv4(one) !== undefined),
);

export function optional(check: Check): Check {
  return (value, path) => (value === undefined ? undefined : check(value, path));
}

export function list(max: number, check: Check): Check {
  return (value, path) => {
    if (!Array.isArray(value) || value.length > max) return path;
    for (const [index, one] of value.entries()) {
      const wrong = check(one, `${path}[${index}]`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** An object of exactly these fields. */
export function object<T>(fields: Fields<T>): Check {
  const checks = Object.entries<Check>(fields);
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return path;
    const given = value as Record<string, unknown>;
    const unknown = Object.keys(given).find((key) => !Object.hasOwn(fields, key));
    if (unknown !== undefined) return join(path, unknown);
    for (const [key, check] of checks) {
      const wrong = check(Object.hasOwn(given, key) ? given[key] : undefined, join(path, key));
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** An object with that field is of the first kind, another one of the second. */
export function either(field: string, having: Check, lacking: Check): Check {
  return (value, path) => (typeof value === 'object' && value !== null && Object.hasOwn(value, field) ? having : lacking)(value, path);
}

/** An object whose field `kind` says which check it is for. */
export function byKind(checks: Readonly<Record<string, Check>>): Check {
  return (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return path;
    const { kind } = value as { kind?: unknown };
    const check = typeof kind === 'string' && Object.hasOwn(checks, kind) ? checks[kind] : undefined;
    return check === undefined ? join(path, 'kind') : check(value, path);
  };
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}
