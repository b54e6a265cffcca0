// SPDX-License-Identifier: Apache-2.0
/** The wire of the console socket, as `crates/control/src/console` documents it. */
import { once } from 'node:events';
import { type FileHandle, open } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';

import { FlotillaError } from './errors.js';

const MAGIC = 0x4e4f4346;
/** Bytes of the hello of either end. */
const HELLO = 16;
/** The longest path of a UNIX socket. */
const MAX_SOCKET_PATH = 107;
/** Most bytes of input in one frame. */
const MAX_FRAME = 0xffff;
/** Bytes that are kept unread before the socket is read no further. */
const AHEAD = 64 << 10;

/**
 * What a socket receives, read ahead. Node drops what it holds itself as soon as a write fails: a client that types on
 * after the end of its machine would lose the last output.
 */
export class Received {
  readonly #waiting: Uint8Array[] = [];
  #length = 0;
  #wake = (): void => {};

  constructor(private readonly socket: Socket) {
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    for (const change of ['end', 'close']) socket.once(change, () => this.#wake());
  }

  /** Everything up to the end; leaving the loop closes the connection. Fails with `worker.gone` when it was cut off. */
  async *read(): AsyncGenerator<Uint8Array> {
    const { socket } = this;
    try {
      for (;;) {
        const cut = socket.destroyed && !socket.readableEnded;
        // Closed by ourselves: nobody wants the rest.
        if (cut && socket.errored === null) return;
        const chunk = this.#waiting.shift();
        if (chunk !== undefined) {
          this.#length -= chunk.length;
          if (this.#length < AHEAD) socket.resume();
          yield chunk;
        } else if (cut) throw gone(socket.errored);
        else if (socket.readableEnded) return;
        else await new Promise<void>((resolve) => (this.#wake = resolve));
      }
    } finally {
      socket.destroy();
    }
  }

  #take(chunk: Buffer): void {
    this.#waiting.push(chunk);
    this.#length += chunk.length;
    if (this.#length >= AHEAD) this.socket.pause();
    this.#wake();
  }
}

/** First message of a client; without a port it is for the serial console. */
export function hello(flags: number, offset: bigint, port = ''): Buffer {
  const name = Buffer.from(port);
  const message = Buffer.alloc(HELLO);
  message.writeUInt32LE(MAGIC, 0);
  message.writeUInt16LE(flags, 4);
  message.writeUInt16LE(name.length, 6);
  message.writeBigUInt64LE(offset, 8);
  return Buffer.concat([message, name]);
}

/** What the writer of a port types, as it goes over the wire. */
export function inputFrames(bytes: Uint8Array): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += MAX_FRAME) {
    const part = bytes.subarray(at, at + MAX_FRAME);
    frames.push(frameHead(0, part.length), Buffer.from(part));
  }
  return Buffer.concat(frames);
}

/** How large the terminal of the writer of a port is, as it goes over the wire. */
export function sizeFrame(columns: number, rows: number): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt16LE(columns, 0);
  size.writeUInt16LE(rows, 2);
  return Buffer.concat([frameHead(1, size.length), size]);
}

function frameHead(kind: number, length: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt8(kind, 0);
  head.writeUInt16LE(length, 2);
  return head;
}

/** Reads exactly the answer; what came after it is output already. */
export async function welcome(socket: Socket): Promise<{ status: number; ring: number; start: bigint; rest: Buffer }> {
  let answer = Buffer.alloc(0);
  while (answer.length < HELLO) {
    const chunk = socket.read() as Buffer | null;
    if (chunk !== null) answer = Buffer.concat([answer, chunk]);
    else if (socket.destroyed || socket.readableEnded) throw gone(undefined);
    else await Promise.race([once(socket, 'readable'), once(socket, 'close')]);
  }
  return { status: answer.readUInt32LE(0), ring: answer.readUInt32LE(4), start: answer.readBigUInt64LE(8), rest: answer.subarray(HELLO) };
}

/** Connects to a console socket, however long its path, with this hello: whoever connects is not waited for without end. */
export async function connected(path: string, greeting: Buffer): Promise<Socket> {
  const directory = path.length > MAX_SOCKET_PATH ? await opened(dirname(path)) : undefined;
  try {
    const short = directory === undefined ? path : join('/proc/self/fd', String(directory.fd), basename(path));
    const socket = connect({ path: short });
    socket.write(greeting);
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

/** The connection has ended, or was never made. */
export function gone(cause: unknown, path?: string): FlotillaError {
  const message = path === undefined ? 'The console connection has ended' : `Nothing listens at the console ${path}`;
  return new FlotillaError({ code: 'worker.gone', message, cause });
}
