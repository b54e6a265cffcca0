// SPDX-License-Identifier: Apache-2.0
import type { ProblemDocument } from '../common/api-error.js';
import type { ByteProgress, HostCommands } from './host-agent.js';

// The UNIX socket transport: HTTP/1.1. Each command is one request; its answer is a line of JSON for each progress report and a
// last one with the result or the problem. A client that goes away cancels its command.

/** Commands that travel as JSON. The compiler proves that none is forgotten. */
export const COMMANDS = {
  claim: true,
  describe: true,
  report: true,
  makePool: true,
  openPool: true,
  closePool: true,
  removePool: true,
  poolUsage: true,
  importImage: true,
  downloadImage: true,
  removeImage: true,
  ensureVolume: true,
  growVolume: true,
  removeVolume: true,
  usedSubnets: true,
  ensureNetwork: true,
  removeNetwork: true,
  requireFreePort: true,
  listLeases: true,
  prepareMachine: true,
  createMachine: true,
  bootMachine: true,
  pressPowerButton: true,
  pauseMachine: true,
  resumeMachine: true,
  setLink: true,
  announce: true,
  setThrottle: true,
  setBalloon: true,
  killMachine: true,
  releaseMachine: true,
  forgetMachine: true,
  listMachines: true,
  machineMetrics: true,
  machineBalloon: true,
  reclaimMemory: true,
  beginCollect: true,
  collectGarbage: true,
} as const satisfies Record<keyof HostCommands, true>;

export type CommandName = keyof typeof COMMANDS;

/** One line of an answer. */
export type AnswerLine = { progress: ByteProgress } | { result: unknown } | { problem: ProblemDocument };

/** Header that carries a command beside a stream. */
export const COMMAND_HEADER = 'x-flotilla-command';
/** Header of the answer to a console upgrade. */
export const CONSOLE_HEADER = 'x-flotilla-console';
/** Protocol name of a console connection. */
export const CONSOLE_PROTOCOL = 'flotilla-console';

export function encodeCommand(command: unknown): string {
  return Buffer.from(JSON.stringify(command)).toString('base64url');
}

export function decodeCommand(text: string | string[] | undefined): unknown {
  return JSON.parse(Buffer.from(String(text ?? ''), 'base64url').toString());
}

/** Splits a stream into lines. */
export async function* lines(stream: AsyncIterable<Uint8Array | string>): AsyncGenerator<string> {
  let rest = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    rest += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true });
    const parts = rest.split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
}
