// SPDX-License-Identifier: Apache-2.0
// Limits on the command line: bytes in a second (bps) and operations in a second, each with a burst.
import type { CreateMachine, UpdateThrottle } from '@flotilla/sdk';
import { InvalidArgumentError } from 'commander';
import { keyValues } from '../values.js';

type Limits = UpdateThrottle['limits'];
type Rate = NonNullable<Limits['bytes']>;
type Throttle = NonNullable<CreateMachine['rngThrottle']>;
type Values = Readonly<Record<string, string | undefined>>;

/** Names of the options of one device: `prefix` comes before each, `operations` is what the device calls them. */
export function throttleKeys(prefix: string, operations: string): string[] {
  return ['bps', 'bps-burst', operations, `${operations}-burst`, 'throttle'].map((key) => `${prefix}${key}`);
}

/** The limits of a device, from the options of these names; undefined when there are none. */
export function toThrottle(values: Values, prefix: string, operations: string): Throttle | undefined {
  const limits = toLimits(values, prefix, operations);
  const group = values[`${prefix}throttle`];
  const throttle = { ...limits, ...(group === undefined ? {} : { group }) };
  return Object.keys(throttle).length === 0 ? undefined : throttle;
}

function toLimits(values: Values, prefix: string, operations: string): Limits {
  const bytes = toRate(values, `${prefix}bps`);
  const count = toRate(values, `${prefix}${operations}`);
  return { ...(bytes === undefined ? {} : { bytes }), ...(count === undefined ? {} : { operations: count }) };
}

function toRate(values: Values, key: string): Rate | undefined {
  const [rate, burst] = [values[key], values[`${key}-burst`]];
  if (rate === undefined && burst === undefined) return undefined;
  if (rate === undefined) throw new InvalidArgumentError(`${key}-burst needs ${key}.`);
  return { perSecond: units(rate), ...(burst === undefined ? {} : { burst: units(burst) }) };
}

/** A number, perhaps with K, M or G of 1024. */
function units(text: string): number {
  const [, digits, suffix = ''] = /^(\d{1,16})([KMG]?)$/i.exec(text) ?? [];
  const number = Number(digits) * 1024 ** ['', 'K', 'M', 'G'].indexOf(suffix.toUpperCase());
  if (!Number.isSafeInteger(number)) throw new InvalidArgumentError(`"${text}" is no number of units: give 1000, 64K, 10M or 1G.`);
  return number;
}

/** The text of `--throttle`: limits that several devices share. */
export function toThrottleGroup(text: string): NonNullable<CreateMachine['throttleGroups']>[number] {
  const values = keyValues(text, ['name', 'bps', 'bps-burst', 'ops', 'ops-burst']);
  const { name } = values;
  if (name === undefined) throw new InvalidArgumentError('name= is missing.');
  return { name, limits: toLimits(values, '', 'ops') };
}

/** The text of `--rng-throttle`. */
export function toRngThrottle(text: string): Throttle {
  return toThrottle(keyValues(text, throttleKeys('', 'ops')), '', 'ops') ?? {};
}

const KINDS: Readonly<Record<string, UpdateThrottle['kind']>> = {
  disk: 'disk',
  rx: 'receive',
  tx: 'transmit',
  group: 'group',
};

/** The change that `disk:root` and `bps=10M,ops=100` mean; `none` ends all limits. */
export function toThrottleChange(target: string, text: string): UpdateThrottle {
  const limits = text === 'none' ? {} : toLimits(keyValues(text, ['bps', 'bps-burst', 'ops', 'ops-burst']), '', 'ops');
  if (target === 'rng') return { kind: 'rng', limits };
  const [kind = '', name = ''] = target.split(':', 2);
  const known = KINDS[kind];
  if (known === undefined || name === '') {
    throw new InvalidArgumentError(`"${target}" is nothing with limits: give disk:NAME, rx:NAME, tx:NAME, group:NAME or rng.`);
  }
  return { kind: known, name, limits };
}
