// SPDX-License-Identifier: Apache-2.0
// Reading option values: sizes, labels, `key=value` lists. Each refusal says what would be right.
import { InvalidArgumentError, Option } from 'commander';

const units: Readonly<Record<string, number>> = { '': 1, K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 };

/** `512`, `512M`, `2G`, `1T` → MiB. A bare number is MiB. */
export function mebibytes(text: string): number {
  const [, digits, unit] = /^(\d+)([KMGT]?)(?:iB|B)?$/i.exec(text) ?? [];
  const factor = units[(unit ?? '').toUpperCase()];
  const value = Number(digits) * (factor ?? Number.NaN);
  if (!Number.isInteger(value) || value <= 0) throw new InvalidArgumentError('Give a size such as 512M or 2G, in whole MiB.');
  return value;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError('Give a whole number.');
  return value;
}

/** Collects `--label key=value` options. */
export function collectLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const [key, value] = splitPair(text);
  return { ...labels, [key]: value };
}

/** Collects an option that may be given several times. */
export function collect(text: string, list: readonly string[] = []): readonly string[] {
  return [...list, text];
}

/** `image=debian,size=4G,readonly` → a map; a key without a value maps to `true`. Unknown keys are refused. */
export function keyValues(text: string, known: readonly string[]): Readonly<Record<string, string>> {
  const pairs = text.split(',').map((part) => (part.includes('=') ? splitPair(part) : ([part, 'true'] as const)));
  const unknown = pairs.find(([key]) => !known.includes(key));
  if (unknown !== undefined) throw new InvalidArgumentError(`Unknown key "${unknown[0]}": use ${known.join(', ')}.`);
  return Object.fromEntries(pairs);
}

/** One of a few words. */
export function oneOf<const T extends string>(key: string, value: string, words: readonly T[]): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw new InvalidArgumentError(`Give ${key}= one of ${words.join(', ')}.`);
  return found;
}

function splitPair(text: string): readonly [string, string] {
  const at = text.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError(`Give key=value, not "${text}".`);
  return [text.slice(0, at), text.slice(at + 1)];
}

/** An option that takes any value; the shells offer these. */
export class SuggestingOption extends Option {
  constructor(
    flags: string,
    description: string,
    readonly suggestions: readonly string[],
  ) {
    super(flags, description);
  }
}
