// SPDX-License-Identifier: Apache-2.0
// A console device: a terminal, and byte streams with names. One form from the API to the host agent.

/** Byte streams of one machine. */
export const MAX_CONSOLE_PORTS = 15;
/** The name of the terminal, which no other port may have. */
export const TERMINAL_PORT = 'hvc0';
export const PORT_NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Columns and rows of a terminal are two bytes each. */
export const MAX_TERMINAL_SIZE = 0xffff;

export interface ConsolePort {
  name: string;
}

export interface ConsoleSettings {
  ports: ConsolePort[];
}

/** How large the terminal of a writer is, in characters. */
export interface TerminalSize {
  columns: number;
  rows: number;
}

export function isTerminalSize(value: unknown): value is TerminalSize {
  if (typeof value !== 'object' || value === null) return false;
  const { columns, rows, ...others } = value as Record<string, unknown>;
  return [columns, rows].every(isLength) && Object.keys(others).length === 0;
}

function isLength(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_TERMINAL_SIZE;
}
