// SPDX-License-Identifier: Apache-2.0
import { stringify } from 'yaml';
import { formatTable } from './table.js';

export const outputFormats = ['table', 'json', 'yaml', 'name'] as const;
export type OutputFormat = (typeof outputFormats)[number];

/** A column of a table: its head, and its cell for an item. */
export type Columns<T> = ReadonlyArray<readonly [head: string, cell: (item: T) => string | number | undefined]>;

/** Something the API names. */
export interface Named {
  readonly id: string | number;
  readonly name?: string | undefined;
}

/** Prints a list in the format that was asked for. */
export function printList<T extends Named>(items: readonly T[], columns: Columns<T>, format: OutputFormat): void {
  if (format === 'table')
    print(
      formatTable(
        columns.map(([head]) => head),
        items.map((item) => columns.map(([, cell]) => cell(item))),
      ),
    );
  else if (format === 'name') for (const item of items) print(nameOf(item));
  else print(serialize(items, format));
}

/** Prints one thing: as a two-column table, or as data. */
export function printOne<T extends Named>(item: T, columns: Columns<T>, format: OutputFormat): void {
  if (format === 'table') print(columns.map(([head, cell]) => `${`${head}:`.padEnd(14)} ${cell(item) ?? '-'}`).join('\n'));
  else if (format === 'name') print(nameOf(item));
  else print(serialize(item, format));
}

/** Data as text, without a final newline. */
export function serialize(value: unknown, format: 'json' | 'yaml'): string {
  return format === 'json' ? JSON.stringify(value, null, 2) : stringify(value).trimEnd();
}

/** Data goes to stdout and nowhere else. */
export function print(text: string): void {
  if (text !== '') process.stdout.write(`${text}\n`);
}

/** Talk goes to stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function nameOf(item: Named): string {
  return item.name ?? String(item.id);
}
