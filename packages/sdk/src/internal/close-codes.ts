// SPDX-License-Identifier: Apache-2.0
import { ConnectionError, errorFor, type Problem } from '../core/errors.js';

/** How the server refuses a console: WebSocket close code to what an HTTP route would have answered, as the API document lists them. */
export const refusals: Readonly<Record<number, Problem>> = {
  4001: {
    status: 401,
    code: 'auth.invalid',
    detail: 'The console refused the API key',
    remedy: 'Give a valid key as apiKey or FLOTILLA_API_KEY',
  },
  4003: {
    status: 403,
    code: 'auth.forbidden',
    detail: 'The role of the API key may not type on consoles',
    remedy: 'Attach with write: false, or use the key of an operator',
  },
  4004: {
    status: 404,
    code: 'machine.not_found',
    detail: 'There is no such machine',
    remedy: 'List the machines with client.machines.list()',
  },
  4005: {
    status: 404,
    code: 'console.port_not_found',
    detail: 'The machine has no console of this name',
    remedy: 'Name a port of its console device, or hvc0 for its terminal; leave port out for the serial console',
  },
  4009: {
    status: 409,
    code: 'console.writer_taken',
    detail: 'Somebody else types on this console',
    remedy: 'Attach with write: false, or wait until they leave',
  },
  4029: {
    status: 429,
    code: 'console.full',
    detail: 'Too many consoles are read with this API key, or of this machine',
    remedy: 'End another one first; an API key may read 8 consoles of one machine',
  },
};

/** Closes in order. 4010: the machine stopped, which ends the output like any end of file. */
const ends = [1000, 1001, 1005, 4010];

/** What a close of the connection means to the reader; undefined for an end in order. */
export function closeError(code: number, reason: string): Error | undefined {
  if (ends.includes(code)) return undefined;
  const refusal = refusals[code];
  if (refusal !== undefined) return errorFor(refusal);
  return new ConnectionError(`The console connection broke (${code}${reason === '' ? '' : `: ${reason}`})`, {
    code: 'connection.lost',
    remedy: 'Attach again with the offset reached: nothing is lost while the ring holds it',
  });
}
