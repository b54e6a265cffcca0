// SPDX-License-Identifier: Apache-2.0
import type { ErrorCode } from './error-codes.js';

/** One way in which the server closes a console. */
export interface ConsoleClose {
  /** Code of the WebSocket's close frame. */
  readonly status: number;
  readonly meaning: string;
  /** What an HTTP route would have answered, when the client is refused. */
  readonly code?: ErrorCode;
}

/** All of them. The API document lists these; the SDK's table is compared with that. */
export const CLOSE = {
  leaving: { status: 1001, meaning: 'the orchestrator stops: attach again with the offset reached' },
  malformed: { status: 1007, meaning: 'a text frame that is no size of a terminal' },
  internal: { status: 1011, meaning: 'a fault of the orchestrator, which is in its log' },
  slow: { status: 1013, meaning: 'the client takes in too little: attach again with the offset reached' },
  auth: { status: 4001, meaning: 'no valid API key, or it was deleted', code: 'auth.invalid' },
  forbidden: { status: 4003, meaning: 'the role of the API key lacks the permission', code: 'auth.forbidden' },
  notFound: { status: 4004, meaning: 'no such machine', code: 'machine.not_found' },
  noPort: { status: 4005, meaning: 'the machine has no console of that name', code: 'console.port_not_found' },
  writerTaken: { status: 4009, meaning: 'another writer', code: 'console.writer_taken' },
  full: { status: 4029, meaning: 'too many consoles: of this API key, or of this machine', code: 'console.full' },
  stopped: { status: 4010, meaning: 'the machine stopped' },
} as const satisfies Record<string, ConsoleClose>;

const ALL: readonly ConsoleClose[] = Object.values(CLOSE);

/** How a console is closed that could not be opened. */
export function closeFor(code: ErrorCode): ConsoleClose {
  if (code === 'worker.gone') return CLOSE.stopped;
  return ALL.find((close) => close.code === code) ?? CLOSE.internal;
}

/** The list as a sentence of the API document. */
export function closeCodesText(): string {
  return `Close codes: ${ALL.map(({ status, meaning }) => `${status} ${meaning}`).join('; ')}.`;
}

/** The list for programs that read the API document: close code to meaning and error code. */
export function closeCodesExtension(): Record<string, { description: string; code?: ErrorCode }> {
  return Object.fromEntries(
    ALL.map(({ status, meaning, code }) => [status, { description: meaning, ...(code === undefined ? {} : { code }) }]),
  );
}
