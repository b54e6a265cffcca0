// SPDX-License-Identifier: Apache-2.0
import { ConnectionError, FlotillaError } from './errors.js';
import { Collected } from '../internal/collected.js';
import { openSocket, type SocketEvents } from '../internal/socket.js';
import type { Transport } from '../internal/transport.js';

/** How to attach to a console. */
export interface ConsoleOptions {
  /** Byte offset to start from; earlier bytes that the ring still holds are sent first. Default: the oldest byte held. */
  readonly offset?: number;
  /** Also type. One writer at a time: a second is refused with `console.writer_taken`. Default true. */
  readonly write?: boolean;
  readonly signal?: AbortSignal;
}

/** Why the server closed a console (WebSocket close codes of the API). */
const closeReasons: Readonly<Record<number, readonly [code: string, text: string, remedy: string]>> = {
  4001: ['auth.invalid', 'The console refused the API key', 'Give a valid key as apiKey or FLOTILLA_API_KEY'],
  4003: ['auth.forbidden', 'The role of the API key may not type on consoles', 'Attach with write: false, or use an operator key'],
  4004: ['machine.not_found', 'There is no such machine', 'List the machines with client.machines.list()'],
  4009: ['console.writer_taken', 'Somebody else types on this console', 'Attach with write: false, or wait until they leave'],
};

/**
 * A serial console. Iterate it for output, `write` to type:
 *
 * ```ts
 * await using console = await machine.console();
 * await console.write('uname -a\n');
 * for await (const bytes of console) process.stdout.write(bytes);
 * ```
 */
export class Console implements AsyncIterable<Uint8Array> {
  /** Offset of the next byte that iteration gives: pass it to attach again without a gap. */
  offset: number;
  readonly #send: (bytes: Uint8Array) => void;
  readonly #close: () => void;
  readonly #queue: Queue;

  private constructor(offset: number, send: (bytes: Uint8Array) => void, close: () => void, queue: Queue) {
    this.offset = offset;
    this.#send = send;
    this.#close = close;
    this.#queue = queue;
  }

  /** Attaches; used by `machine.console()`. */
  static async open(transport: Transport, path: string, signal: AbortSignal | undefined): Promise<Console> {
    const queue = new Queue();
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
    const socket = await openSocket(transport, path, events);
    const onAbort = (): void => socket.close();
    signal?.addEventListener('abort', onAbort, { once: true });
    if (signal?.aborted === true) onAbort();
    return new Console(
      await greeting,
      (bytes) => socket.send(bytes),
      () => socket.close(),
      queue,
    );
  }

  /** Types. Text is sent as UTF-8. */
  async write(input: string | Uint8Array): Promise<void> {
    this.#send(typeof input === 'string' ? new TextEncoder().encode(input) : input);
  }

  /** Leaves the console; iteration ends. The machine does not notice. */
  close(): void {
    this.#close();
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
   * an error after `timeoutMs` (30,000); then nothing was read.
   */
  async expect(pattern: string | RegExp, options: { readonly timeoutMs?: number } = {}): Promise<string> {
    const timeoutMs = options.timeoutMs ?? 30_000;
    const deadline = Date.now() + timeoutMs;
    const collected = new Collected();
    let unread: Uint8Array[] | undefined;
    try {
      for (;;) {
        const end = collected.endOf(pattern);
        if (end !== undefined) {
          unread = collected.after(end);
          return collected.text.slice(0, end);
        }
        const bytes = await this.#queue.take(deadline - Date.now());
        if (bytes === undefined) throw notShown(pattern, timeoutMs, collected.text);
        this.offset += bytes.length;
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

function notShown(pattern: string | RegExp, timeoutMs: number, seen: string): FlotillaError {
  return new FlotillaError(`The console did not show ${String(pattern)} within ${timeoutMs} ms. It showed: ${seen.slice(-500)}`, {
    code: 'console.timeout',
    remedy: 'Look at the whole output with machine.logs(), or allow more time with timeoutMs',
  });
}

function closeError(code: number, reason: string): Error | undefined {
  // 4010: the machine stopped, which ends the output like any end of file.
  if (code === 1000 || code === 1001 || code === 1005 || code === 4010) return undefined;
  const known = closeReasons[code];
  if (known !== undefined) return new FlotillaError(known[1], { code: known[0], remedy: known[2] });
  return new ConnectionError(`The console connection broke (${code}${reason === '' ? '' : `: ${reason}`})`, {
    code: 'connection.lost',
    remedy: 'Attach again with the offset reached: nothing is lost while the ring holds it',
  });
}

/** Output between socket and reader. Bounded by the ring of the machine: the server stops sending to a slow reader. */
class Queue {
  readonly #items: Uint8Array[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  push(bytes: Uint8Array): void {
    this.#items.push(bytes);
    this.#wake?.();
  }

  /** Puts bytes before all others. */
  unread(chunks: Uint8Array[]): void {
    this.#items.unshift(...chunks);
  }

  end(error: Error | undefined): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  /** The next bytes; `undefined` at the end, or when `milliseconds` are over. */
  async take(milliseconds?: number): Promise<Uint8Array | undefined> {
    while (this.#items.length === 0 && !this.#ended) {
      if (milliseconds !== undefined && milliseconds <= 0) return undefined;
      let timer: ReturnType<typeof setTimeout> | undefined;
      let late = false;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (milliseconds !== undefined)
          timer = setTimeout(() => {
            late = true;
            resolve();
          }, milliseconds);
      });
      clearTimeout(timer);
      this.#wake = undefined;
      if (late && this.#items.length === 0) return undefined;
    }
    const next = this.#items.shift();
    if (next === undefined && this.#error !== undefined) throw this.#error;
    return next;
  }
}
