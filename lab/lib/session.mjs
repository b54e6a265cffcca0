// SPDX-License-Identifier: Apache-2.0
// The conversation with the lab's first process while the command runs.

import { constants } from 'node:os';
import { FrameReader, configPayload, frame } from './wire.mjs';

const INPUT_PIECE = 32 << 10;

export class Session {
  #socket;
  #streams;
  #reader = new FrameReader();
  #announceStart;
  #announceEnd;
  #writing = Promise.resolve();

  /**
   * @param {import('node:net').Socket} socket
   * @param {{ output: NodeJS.WritableStream, errorOutput: NodeJS.WritableStream, input?: NodeJS.ReadableStream }} streams
   */
  constructor(socket, streams) {
    this.#socket = socket;
    this.#streams = streams;
    /** Resolves when the command runs. */
    this.started = new Promise((resolve) => {
      this.#announceStart = resolve;
    });
    /**
     * Resolves once all output has been handed on, with `{ status }` of the command, `{ failure }` when the lab could not
     * run it, or `{ death }` when the machine itself stopped. Never rejects.
     */
    this.ended = new Promise((resolve) => {
      this.#announceEnd = resolve;
    });
  }

  /** Sends the command; from now on frames are handled as they come. */
  start(records) {
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (bytes) => this.#receive(bytes));
    this.#socket.write(frame('C', configPayload(records)));
    const { input } = this.#streams;
    if (input === undefined) return;
    input.on('data', (bytes) => this.#sendInput(input, bytes));
    input.on('end', () => this.#socket.write(frame('I')));
  }

  /** Sends a signal, by name, to the command's process group. */
  signal(name) {
    this.#socket.write(frame('S', Buffer.from([constants.signals[name]])));
  }

  /** Tells the command's terminal its new size. */
  resize(rows, columns) {
    const payload = Buffer.alloc(4);
    payload.writeUInt16LE(rows, 0);
    payload.writeUInt16LE(columns, 2);
    this.#socket.write(frame('W', payload));
  }

  /** Interrupts the lab's processor, and says nothing: one that lost its timer's interrupt goes on (docs/notes/lab.md). */
  tick() {
    if (this.#socket.writableLength === 0) this.#socket.write(frame('T'));
  }

  /** The end that was announced, or `death` when the machine stopped without announcing one. */
  async endedOr(death) {
    await new Promise((resolve) =>
      this.#socket.readableEnded || this.#socket.destroyed ? resolve() : this.#socket.once('close', resolve),
    );
    await this.#writing;
    this.#announceEnd({ death });
    return this.ended;
  }

  #sendInput(input, bytes) {
    const data = Buffer.from(bytes);
    let flowing = true;
    for (let start = 0; start < data.length; start += INPUT_PIECE) {
      flowing = this.#socket.write(frame('I', data.subarray(start, start + INPUT_PIECE)));
    }
    if (flowing) return;
    input.pause();
    this.#socket.once('drain', () => input.resume());
  }

  #receive(bytes) {
    try {
      for (const { type, payload } of this.#reader.push(bytes)) this.#handle(type, payload);
    } catch (error) {
      this.#announceEnd({ death: String(error) });
    }
  }

  #handle(type, payload) {
    switch (type) {
      case 'R':
        return this.#announceStart();
      case 'O':
        return this.#write(this.#streams.output, payload);
      case 'E':
        return this.#write(this.#streams.errorOutput, payload);
      case 'X':
        return this.#end({ status: payload[0] ?? 0 });
      case 'F':
        return this.#end({ failure: payload.toString() });
      default:
        throw new Error(`The lab sent an unknown frame ${type}`);
    }
  }

  /** Output waits for its reader, and the lab then waits for us. */
  #write(stream, bytes) {
    if (stream.destroyed || stream.write(bytes)) return;
    this.#socket.pause();
    const go = () => {
      stream.off('drain', go).off('close', go).off('error', go);
      this.#socket.resume();
    };
    stream.on('drain', go).on('close', go).on('error', go);
  }

  #end(how) {
    this.#writing = Promise.all([flushed(this.#streams.output), flushed(this.#streams.errorOutput)]);
    void this.#writing.then(() => this.#announceEnd(how));
  }
}

/** Resolves once everything written so far has left the process, or can no longer. */
function flushed(stream) {
  return new Promise((resolve) => {
    if (stream.destroyed || stream.writableLength === 0) resolve();
    else stream.write('', () => resolve());
  });
}
