// SPDX-License-Identifier: Apache-2.0
// Frames of RFC 6455 §5.2: what a client sends (masked, whole) and what it takes (unmasked, maybe in fragments).

export const Opcode = { Continuation: 0x0, Text: 0x1, Binary: 0x2, Close: 0x8, Ping: 0x9, Pong: 0xa } as const;
export type Opcode = (typeof Opcode)[keyof typeof Opcode];

/** More than this in one message is refused: consoles send far smaller ones. */
const maxMessageLength = 16 * 1024 * 1024;

export interface Frame {
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** One final frame, masked as a client must. */
export function encodeFrame(opcode: Opcode, payload: Uint8Array): Uint8Array {
  const extended = payload.length < 126 ? 0 : payload.length < 65_536 ? 2 : 8;
  const frame = new Uint8Array(2 + extended + 4 + payload.length);
  const view = new DataView(frame.buffer);
  frame[0] = 0x80 | opcode;
  frame[1] = 0x80 | (extended === 0 ? payload.length : extended === 2 ? 126 : 127);
  if (extended === 2) view.setUint16(2, payload.length);
  if (extended === 8) view.setBigUint64(2, BigInt(payload.length));
  const mask = globalThis.crypto.getRandomValues(new Uint8Array(4));
  frame.set(mask, 2 + extended);
  const body = frame.subarray(6 + extended);
  for (const [index, byte] of payload.entries()) body[index] = byte ^ (mask[index & 3] ?? 0);
  return frame;
}

/** Collects bytes and gives whole messages; control frames may come between fragments. */
export class FrameReader {
  #rest: Uint8Array = new Uint8Array(0);
  #fragments: Uint8Array[] = [];
  #opcode = 0;

  *read(bytes: Uint8Array): Generator<Frame> {
    this.#rest = concat([this.#rest, bytes]);
    for (;;) {
      const frame = this.#next();
      if (frame === undefined) return;
      if ((frame.opcode & 0x8) !== 0) {
        yield frame;
        continue;
      }
      if (frame.opcode !== Opcode.Continuation) this.#opcode = frame.opcode;
      this.#fragments.push(frame.payload);
      if (this.#fragments.reduce((sum, part) => sum + part.length, 0) > maxMessageLength) throw new Error('message too long');
      if (!frame.final) continue;
      const payload = concat(this.#fragments);
      this.#fragments = [];
      yield { opcode: this.#opcode, payload };
    }
  }

  #next(): (Frame & { readonly final: boolean }) | undefined {
    const [first, second] = this.#rest;
    if (first === undefined || second === undefined) return undefined;
    if ((second & 0x80) !== 0) throw new Error('masked frame from a server');
    const short = second & 0x7f;
    const start = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    if (this.#rest.length < start) return undefined;
    const view = new DataView(this.#rest.buffer, this.#rest.byteOffset, this.#rest.byteLength);
    const length = short === 126 ? view.getUint16(2) : short === 127 ? Number(view.getBigUint64(2)) : short;
    if (length > maxMessageLength) throw new Error('frame too long');
    if (this.#rest.length < start + length) return undefined;
    const payload = this.#rest.slice(start, start + length);
    this.#rest = this.#rest.subarray(start + length);
    return { opcode: first & 0x0f, final: (first & 0x80) !== 0, payload };
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1 && parts[0] !== undefined) return parts[0];
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
