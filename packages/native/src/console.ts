// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { abortedError, FlotillaError } from './errors.js';
import { requireBytes, requireText } from './validate.js';

const MAGIC = 0x4e4f4346;
const WRITER = 1;
const LIVE = 0xffff_ffff_ffff_ffffn;
/** Bytes of the hello of either end. */
const HELLO = 16;
const OK = 0;
const WRITER_TAKEN = 1;
/** The longest path of a UNIX socket. */
const MAX_SOCKET_PATH = 107;

export interface OpenConsoleOptions {
  /** `machine.consolePath`. */
  path: string;
  /** Start with this byte of output, or the oldest kept if that is later. 0: everything kept. Default: only what comes. */
  offset?: number;
  /** Also write. One writer at a time: a second one is `console.busy`. Default: false. */
  write?: boolean;
  signal?: AbortSignal;
}

/** A connection to the console of a machine. */
export interface ConsoleConnection {
  /** Offset of the first byte of `data`, counted from the first output of the machine. */
  readonly offset: number;
  /** The output. Ends with the machine or with `close`; a reader that falls behind the ring (1 MiB) is cut off, and can come back with the offset it has reached. */
  readonly data: AsyncIterable<Uint8Array>;
  /** Sends input; resolves when the kernel has taken it. */
  write(bytes: Uint8Array | string): Promise<void>;
  /** Idempotent. */
  close(): void;
}

/** Connects to the console of a machine, in whichever process it runs. */
export async function openConsole(options: OpenConsoleOptions): Promise<ConsoleConnection> {
  const { signal, write = false } = options;
  const path = requireText(options.path, '$.path');
  const offset = options.offset === undefined ? LIVE : BigInt(requireBytes(options.offset, '$.offset'));
  if (signal?.aborted) throw abortedError(signal);
  const socket = await connected(path);
  const abort = (): void => void socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('close', () => signal?.removeEventListener('abort', abort));
  try {
    socket.write(hello(write, offset));
    const { status, start, rest } = await welcome(socket);
    if (status !== OK) throw refused(status);
    if (rest.length > 0) socket.unshift(rest);
    return new SocketConsole(socket, Number(start), write);
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
    private readonly mayWrite: boolean,
  ) {
    this.data = chunks(socket);
  }

  async write(bytes: Uint8Array | string): Promise<void> {
    if (!this.mayWrite) {
      throw new FlotillaError({ code: 'machine.state', message: 'This console connection only reads', remedy: 'Open it with write: true' });
    }
    await new Promise<void>((resolve, reject) => {
      this.socket.write(bytes, (error) => (error ? reject(gone(error)) : resolve()));
    });
  }

  close(): void {
    this.socket.destroy();
  }
}

async function* chunks(socket: Socket): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of socket) yield chunk as Uint8Array;
  } catch (error) {
    // Closing our own end in the middle of a read is an end like any other.
    if (!isClose(error)) throw gone(error);
  }
}

function hello(write: boolean, offset: bigint): Buffer {
  const message = Buffer.alloc(HELLO);
  message.writeUInt32LE(MAGIC, 0);
  message.writeUInt32LE(write ? WRITER : 0, 4);
  message.writeBigUInt64LE(offset, 8);
  return message;
}

/** Reads exactly the answer; what came after it is output already. */
async function welcome(socket: Socket): Promise<{ status: number; start: bigint; rest: Buffer }> {
  let answer = Buffer.alloc(0);
  while (answer.length < HELLO) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) answer = Buffer.concat([answer, chunk]);
    else if (socket.destroyed || socket.readableEnded) throw gone(undefined);
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
  return { status: answer.readUInt32LE(0), start: answer.readBigUInt64LE(8), rest: answer.subarray(HELLO) };
}

async function connected(path: string): Promise<Socket> {
  const directory = path.length > MAX_SOCKET_PATH ? await opened(dirname(path)) : undefined;
  try {
    const short = directory === undefined ? path : join('/proc/self/fd', String(directory.fd), basename(path));
    const socket = connect({ path: short });
    await once(socket, 'connect').catch((error: unknown) => {
      throw gone(error, path);
    });
    // Later errors end the data, or reject what is under way.
    socket.on('error', () => {});
    return socket;
  } finally {
    await directory?.close();
  }
}

async function opened(directory: string): Promise<FileHandle> {
  return open(directory, 'r').catch((error: unknown) => {
    throw gone(error, directory);
  });
}

function refused(status: number): FlotillaError {
  if (status === WRITER_TAKEN) {
    return new FlotillaError({ code: 'console.busy', message: 'Another connection writes to this console' });
  }
  return new FlotillaError({ code: 'worker.protocol', message: `The console refused the connection with status ${status}` });
}

function gone(cause: unknown, path?: string): FlotillaError {
  const message = path === undefined ? 'The console connection has ended' : `Nothing listens at the console ${path}`;
  return new FlotillaError({ code: 'worker.gone', message, cause });
}

function isClose(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ABORT_ERR';
}
