// SPDX-License-Identifier: Apache-2.0
import { ConnectionError, FlotillaError } from './errors.js';
import { ByteQueue } from '../internal/byte-queue.js';
import { closeError } from '../internal/close-codes.js';
import { Collected } from '../internal/collected.js';
import { openSocket } from '../internal/open-socket.js';
import type { Socket, SocketEvents } from '../internal/socket.js';
import type { Transport } from '../internal/transport.js';

/** `expect` holds what it searches, and searches it anew with each chunk. */
const maxSearchedBytes = 8 * 1024 * 1024;

/** How to attach to a console. */
export interface ConsoleOptions {
  /** A port of the machine's console device, `hvc0` for its terminal. Default: the serial console. */
  readonly port?: string;
  /** Byte offset to start from; earlier bytes that the ring still holds are sent first. Default: the oldest byte held. */
  readonly offset?: number;
  /** Also type. One writer at a time: a second is refused with `console.writer_taken`. Default true. */
  readonly write?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * A console: the serial one, or that of a port. Iterate it for output, `write` to type:
 *
 * ```ts
 * await using console = await machine.console();
 * await console.write('uname -a\n');
 * for await (const bytes of console) process.stdout.write(bytes);
 * ```
 *
 * Read what comes, or `close` it: 1 MiB of unread output is held. With more the connection is paused (in a browser: closed), and
 * the server ends one that stays so for a minute. Iteration then fails with `connection.lost` after the bytes held; attach again
 * with `offset` and nothing is lost while the ring of the machine holds it.
 */
export class Console implements AsyncIterable<Uint8Array> {
  /** Offset of the next byte that iteration gives: pass it to attach again without a gap. */
  offset: number;
  readonly #socket: Pick<Socket, 'send' | 'sendText' | 'close'>;
  readonly #port: string | undefined;
  readonly #queue: ByteQueue;

  private constructor(offset: number, socket: Socket, port: string | undefined, queue: ByteQueue) {
    this.offset = offset;
    this.#socket = socket;
    this.#port = port;
    this.#queue = queue;
  }

  /** Attaches; used by `machine.console()`. */
  static async open(transport: Transport, path: string, { signal, port }: Pick<ConsoleOptions, 'signal' | 'port'>): Promise<Console> {
    const queue = new ByteQueue();
    let greet: (offset: number) => void = () => undefined;
    let refuse: (error: Error) => void = () => undefined;
    const greeting = new Promise<number>((resolve, reject) => {
      greet = resolve;
      refuse = reject;
    });
    const events: SocketEvents = {
      text: (text) => greet((JSON.parse(text) as { offset: number }).offset),
      bytes: (bytes) => queue.push(bytes),
      close: (code, reason) => {
        const error = closeError(code, reason);
        refuse(error ?? new ConnectionError('The console closed before it opened', { code: 'connection.failed' }));
        queue.end(error);
      },
    };
    const socket = await openSocket(transport, path, events, signal);
    queue.from(socket);
    const onAbort = (): void => socket.close();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    return new Console(await greeting, socket, port, queue);
  }

  /** Types. Text is sent as UTF-8. */
  async write(input: string | Uint8Array): Promise<void> {
    this.#socket.send(typeof input === 'string' ? new TextEncoder().encode(input) : input);
  }

  /**
   * Tells the guest how large the terminal is that its writer looks at, each 0 to 65535. Only the terminal of a console device (port
   * `hvc0`) has a size; elsewhere this does nothing.
   */
  async resize(columns: number, rows: number): Promise<void> {
    for (const length of [columns, rows]) {
      if (!Number.isInteger(length) || length < 0 || length > 0xffff)
        throw new RangeError(`${length} is no size of a terminal: give 0 to 65535`);
    }
    if (this.#port !== undefined) this.#socket.sendText(JSON.stringify({ columns, rows }));
  }

  /** Leaves the console; iteration ends. The machine does not notice. */
  close(): void {
    this.#socket.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const bytes = await this.#queue.take();
      if (bytes === undefined) return;
      this.offset += bytes.length;
      yield bytes;
    }
  }

  /**
   * Reads until the output holds `pattern`, and returns what was read up to the end of the match; what follows is read next. Ends with
   * an error after `timeoutMs` (30,000), or 8 MiB without a match; then nothing was read.
   */
  async expect(pattern: string | RegExp, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    const timeoutMs = options.timeoutMs ?? 30_000;
    const deadline = Date.now() + timeoutMs;
    const collected = new Collected();
    let unread: Uint8Array[] | undefined;
    let length = 0;
    try {
      for (;;) {
        const end = collected.endOf(pattern);
        if (end !== undefined) {
          unread = collected.after(end);
          return collected.text.slice(0, end);
        }
        if (length > maxSearchedBytes) throw notShown(pattern, '8 MiB', collected.text);
        const left = deadline - Date.now();
        const bytes = left > 0 || length === 0 ? await this.#queue.take(left) : undefined; // a flood always has some
        if (bytes === undefined) throw notShown(pattern, `${timeoutMs} ms`, collected.text);
        this.offset += bytes.length;
        length += bytes.length;
        collected.push(bytes);
      }
    } finally {
      this.#giveBack(unread ?? collected.bytes);
    }
  }

  #giveBack(chunks: Uint8Array[]): void {
    this.#queue.unread(chunks);
    for (const bytes of chunks) this.offset -= bytes.length;
  }
}

function notShown(pattern: string | RegExp, limit: string, seen: string): FlotillaError {
  return new FlotillaError(`The console did not show ${String(pattern)} within ${limit}. It showed: ${seen.slice(-500)}`, {
    code: 'console.timeout',
    remedy: 'Look at the whole output with machine.logs(), or allow more time with timeoutMs',
  });
}
