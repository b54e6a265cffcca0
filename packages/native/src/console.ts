// SPDX-License-Identifier: Apache-2.0
import type { Socket } from 'node:net';
import { join } from 'node:path';

import { connected, gone, hello, inputFrames, Received, sizeFrame, welcome } from './console-socket.js';
import { abortedError, FlotillaError, settled } from './errors.js';
import * as native from './native.js';
import { requireBytes, requireText, requireUint16 } from './validate.js';

const WRITER = 1;
const SNAPSHOT = 2;
const LIVE = 0xffff_ffff_ffff_ffffn;
const OK = 0;
const WRITER_TAKEN = 1;
const FULL = 3;
const NO_PORT = 4;
const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** Most bytes of output that a machine keeps; a worker that promises more is not believed. */
const RING = 1 << 20;
/** How long a worker may keep a snapshot waiting before the file it leaves is read instead. */
const SNAPSHOT_MILLISECONDS = 5000;

export interface OpenConsoleOptions {
  /** `machine.consolePath`. */
  path: string;
  /** Start with this byte of output, or the oldest kept if that is later. 0: everything kept. Default: only what comes. */
  offset?: number;
  /** A port of the console device by its name, `hvc0` for its terminal; one that is not there is `console.no_port`. Default: the serial console. */
  port?: string;
  /** Also write. One writer at a time: a second one is `console.busy`. Default: false. */
  write?: boolean;
  signal?: AbortSignal;
}

/** A connection to the console of a machine. */
export interface ConsoleConnection {
  /** Offset of the first byte of `data`, counted from the first output of the machine. */
  readonly offset: number;
  /** Bytes of output that the machine keeps. */
  readonly ringBytes: number;
  /** The output. Ends with the machine or with `close`; a reader that falls behind by `ringBytes` is cut off, and can come back with the offset it has reached. */
  readonly data: AsyncIterable<Uint8Array>;
  /** Sends input; resolves when the kernel has taken it. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** Tells the guest how large the terminal of the writer is, each 0 to 65535. Nothing on the serial console, which knows no size. */
  resize(columns: number, rows: number): Promise<void>;
  /** Idempotent. */
  close(): void;
}

export interface ReadConsoleOptions {
  /** Of the machine. */
  id: string;
  runtimeDirectory: string;
  signal?: AbortSignal;
}

/** What is kept of a console. */
export interface ConsoleRecord {
  /** Offset of the first byte, counted from the first output of the machine. */
  offset: number;
  /** At most 1 MiB. */
  bytes: Uint8Array;
}

/**
 * Everything that is kept of the console of a machine, the newest 1 MiB: at this moment while it runs, to its last byte
 * once it has ended, as long as the run directory is there. Of a worker that was killed fewer than 64 bytes can be absent,
 * all of the last, unfinished line. Undefined when there is nothing.
 */
export async function readConsole(options: ReadConsoleOptions): Promise<ConsoleRecord | undefined> {
  const { signal } = options;
  const [id, directory] = [requireText(options.id, '$.id'), requireText(options.runtimeDirectory, '$.runtimeDirectory')];
  if (signal?.aborted) throw abortedError(signal);
  // What is no id becomes no part of a path; the core refuses it.
  const live = ID.test(id) ? await snapshot(join(directory, 'machines', id, 'console.sock'), signal) : undefined;
  if (signal?.aborted) throw abortedError(signal);
  // Without an answer the worker has ended, or hangs: everything is in the file.
  return live ?? (await settled<ConsoleRecord | null>(() => native.lastConsole(directory, id))) ?? undefined;
}

/** What a live console holds, or undefined when it did not give all of what it promised. */
async function snapshot(path: string, signal: AbortSignal | undefined): Promise<ConsoleRecord | undefined> {
  const limit = AbortSignal.timeout(SNAPSHOT_MILLISECONDS);
  const socket = await connected(path, hello(SNAPSHOT, 0n)).catch(() => undefined);
  if (socket === undefined) return undefined;
  const abort = (): void => void socket.destroy();
  const signals = signal === undefined ? [limit] : [limit, signal];
  for (const one of signals) one.addEventListener('abort', abort, { once: true });
  try {
    const { status, ring, start, rest } = await welcome(socket);
    if (status !== OK || ring > RING || start > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    const bytes = Buffer.alloc(ring);
    let length = rest.copy(bytes);
    for await (const chunk of new Received(socket).read()) {
      if (length === ring) break;
      length += Buffer.from(chunk).copy(bytes, length);
    }
    return length === ring ? { offset: Number(start), bytes } : undefined;
  } catch {
    return undefined;
  } finally {
    for (const one of signals) one.removeEventListener('abort', abort);
    socket.destroy();
  }
}

/**
 * Connects to the console of a machine, in whichever process it runs. Who gets in is given everything from `offset` on, to the
 * last byte, also of a guest that ends at once. A worker that has ended is `worker.gone`: `readConsole` has what it kept.
 * 32 may read at once, one more is `console.full`; a writer has a place of its own.
 */
export async function openConsole(options: OpenConsoleOptions): Promise<ConsoleConnection> {
  const { signal, write = false } = options;
  const path = requireText(options.path, '$.path');
  const port = options.port === undefined ? '' : requireText(options.port, '$.port');
  if (options.port !== undefined && !ID.test(port)) throw noPort(port);
  const offset = options.offset === undefined ? LIVE : BigInt(requireBytes(options.offset, '$.offset'));
  if (signal?.aborted) throw abortedError(signal);
  const socket = await connected(path, hello(write ? WRITER : 0, offset, port));
  const abort = (): void => void socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  try {
    const { status, ring, start, rest } = await welcome(socket);
    if (status !== OK) throw refused(status, port);
    if (rest.length > 0) socket.unshift(rest);
    return new SocketConsole(socket, Number(start), ring, { write, framed: port !== '' });
  } catch (error) {
    socket.destroy();
    if (signal?.aborted) throw abortedError(signal);
    throw error;
  }
}

class SocketConsole implements ConsoleConnection {
  readonly data: AsyncIterable<Uint8Array>;

  constructor(
    private readonly socket: Socket,
    readonly offset: number,
    readonly ringBytes: number,
    private readonly mode: { readonly write: boolean; readonly framed: boolean },
  ) {
    this.data = new Received(socket).read();
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    this.requireWriter();
    const plain = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    await this.send(this.mode.framed ? inputFrames(plain) : plain);
  }

  async resize(columns: number, rows: number): Promise<void> {
    this.requireWriter();
    const frame = sizeFrame(requireUint16(columns, '$.columns'), requireUint16(rows, '$.rows'));
    if (this.mode.framed) await this.send(frame);
  }

  private requireWriter(): void {
    if (!this.mode.write) {
      throw new FlotillaError({ code: 'machine.state', message: 'This console connection only reads', remedy: 'Open it with write: true' });
    }
  }

  private async send(bytes: Uint8Array): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(gone(error)) : resolve()));
    });
  }

  close(): void {
    this.socket.destroy();
  }
}

function noPort(port: string): FlotillaError {
  return new FlotillaError({
    code: 'console.no_port',
    message: `The machine has no console of the name ${JSON.stringify(port.slice(0, 64))}`,
    field: '$.port',
  });
}

function refused(status: number, port: string): FlotillaError {
  if (status === NO_PORT) return noPort(port);
  if (status === WRITER_TAKEN) {
    return new FlotillaError({ code: 'console.busy', message: 'Another connection writes to this console' });
  }
  if (status === FULL) {
    return new FlotillaError({ code: 'console.full', message: 'As many connections read from this console as may' });
  }
  return new FlotillaError({ code: 'worker.protocol', message: `The console refused the connection with status ${status}` });
}
