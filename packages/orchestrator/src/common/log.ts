// SPDX-License-Identifier: Apache-2.0
import { pino, type Logger as PinoLogger } from 'pino';

/** The log of the process: JSON lines on stderr, so that stdout stays for data. */
export type Log = PinoLogger;

/** Token under which the log is injected. */
export const LOG = Symbol('flotilla:log');

export function makeLog(level: string): Log {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
}
