// SPDX-License-Identifier: Apache-2.0

/** A table of plain text: a line for the heads, a line for each row, columns two spaces apart. */
export function formatTable(heads: readonly string[], rows: ReadonlyArray<ReadonlyArray<string | number | undefined>>): string {
  const cells = [heads.map((head) => head.toUpperCase()), ...rows.map((row) => row.map((cell) => clean(cell)))];
  const widths = heads.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** Control characters in names and texts of others must not reach the terminal. */
function clean(cell: string | number | undefined): string {
  return cell === undefined || cell === '' ? '-' : String(cell).replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

/** How long ago, in the largest unit that fits: `5s`, `12m`, `3h`, `8d`. */
export function age(since: string, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(since)) / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

/** Bytes with a binary unit: `1.5 GiB`. */
export function size(bytes: number | undefined): string | undefined {
  if (bytes === undefined) return undefined;
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}
