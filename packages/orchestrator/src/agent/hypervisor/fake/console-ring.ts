// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';

/** The last bytes of a console with the offset of the stream they begin at, and its live end. */
export class ConsoleRing {
  private bytes = Buffer.alloc(0);
  private first = 0;
  private ended = false;
  private readonly changes = new EventEmitter().setMaxListeners(0);

  constructor(readonly capacity: number) {}

  /** Offset after the last byte. */
  get end(): number {
    return this.first + this.bytes.length;
  }

  /** What is kept now. */
  snapshot(): { offset: number; bytes: Uint8Array } {
    return { offset: this.first, bytes: Buffer.from(this.bytes) };
  }

  append(data: Uint8Array): void {
    const all = Buffer.concat([this.bytes, data]);
    const cut = Math.max(0, all.length - this.capacity);
    this.bytes = all.subarray(cut);
    this.first += cut;
    this.changes.emit('change');
  }

  finish(): void {
    this.ended = true;
    this.changes.emit('change');
  }

  /** Where a reader that wants `offset` really begins. */
  clamp(offset: number | undefined): number {
    return offset === undefined ? this.end : Math.min(Math.max(offset, this.first), this.end);
  }

  /** Bytes from an offset on, then what comes, until the end or the signal. A reader that falls behind the ring ends. */
  async *read(from: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    let at = from;
    while (!signal.aborted) {
      if (at < this.first) return;
      if (at < this.end) {
        const chunk = this.bytes.subarray(at - this.first);
        at += chunk.length;
        yield chunk;
      } else if (this.ended) return;
      else await this.nextChange(signal);
    }
  }

  private nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.changes.off('change', done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.changes.on('change', done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
