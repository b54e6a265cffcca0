// SPDX-License-Identifier: Apache-2.0

/** Where the bytes of a queue come from. */
export interface Source {
  /** Brings no more until `resume`. */
  pause(): void;
  resume(): void;
}

/** A source is paused while more than so many bytes wait for the reader: whoever sends them, a guest, must not fill the memory. */
export const maxQueuedBytes = 1024 * 1024;

/** Output between a socket and its reader, bounded by pausing the socket. */
export class ByteQueue {
  readonly #items: Uint8Array[] = [];
  #bytes = 0;
  #source: Source | undefined;
  #paused = false;
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  /** Tells what to pause; bytes may have come before. */
  from(source: Source): void {
    this.#source = source;
    this.#regulate();
  }

  push(bytes: Uint8Array): void {
    this.#items.push(bytes);
    this.#bytes += bytes.length;
    this.#regulate();
    this.#wake?.();
  }

  /** Puts bytes before all others. */
  unread(chunks: Uint8Array[]): void {
    this.#items.unshift(...chunks);
    for (const bytes of chunks) this.#bytes += bytes.length;
    this.#regulate();
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
    this.#bytes -= next?.length ?? 0;
    this.#regulate();
    return next;
  }

  #regulate(): void {
    const full = this.#bytes > maxQueuedBytes;
    if (full === this.#paused || this.#source === undefined) return;
    this.#paused = full;
    if (full) this.#source.pause();
    else this.#source.resume();
  }
}
