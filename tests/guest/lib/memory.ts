// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';

/** A line of smaps on a file that a process has mapped, in KiB. */
export function mappedFile(pid: number, path: string, field: string): number {
  const mappings = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const found = mappings.filter((text) => text.split('\n', 1)[0]?.endsWith(` ${path}`));
  return found.reduce((sum, text) => sum + Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0), 0);
}

/** A line of smaps on the memory of a guest, in KiB. */
export function mapped(pid: number, memoryKiB: number, field: string): number | undefined {
  const mappings = readFileSync(`/proc/${pid}/smaps`, 'utf8').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
  const memory = mappings.find((text) => new RegExp(`^Size:\\s+${memoryKiB} kB`, 'm').test(text)) ?? '';
  return Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(memory)?.[1]);
}
