// SPDX-License-Identifier: Apache-2.0
// What the writer of a named console sends: input, and how large its terminal is.
//   kind u8 (0 input, 1 size) · zero u8 · length u16 · input, or columns u16 · rows u16; little-endian
import type { TerminalSize } from '../common/console-ports.js';

const HEAD_BYTES = 4;
const MAX_INPUT_BYTES = 0xffff;
const INPUT = 0;
const SIZE = 1;
const SIZE_BYTES = 4;

export function inputFrames(bytes: Uint8Array): Buffer {
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += MAX_INPUT_BYTES) {
    const part = bytes.subarray(at, at + MAX_INPUT_BYTES);
    frames.push(head(INPUT, part.length), part);
  }
  return Buffer.concat(frames);
}

export function sizeFrame({ columns, rows }: TerminalSize): Buffer {
  const frame = Buffer.concat([head(SIZE, SIZE_BYTES), Buffer.alloc(SIZE_BYTES)]);
  frame.writeUInt16LE(columns, HEAD_BYTES);
  frame.writeUInt16LE(rows, HEAD_BYTES + 2);
  return frame;
}

function head(kind: number, length: number): Buffer {
  const bytes = Buffer.alloc(HEAD_BYTES);
  bytes.writeUInt8(kind, 0);
  bytes.writeUInt16LE(length, 2);
  return bytes;
}

/** Takes frames apart, however they are cut; keeps a few bytes at most. */
export class FrameReader {
  private begun: number[] = [];
  /** Bytes of input that are still to come. */
  private input = 0;

  /** What is in them, input as it comes; throws at what is no frame. */
  read(bytes: Uint8Array): (Uint8Array | TerminalSize)[] {
    const found: (Uint8Array | TerminalSize)[] = [];
    for (let at = 0; at < bytes.length; ) {
      if (this.input > 0) {
        const part = bytes.subarray(at, at + this.input);
        found.push(part);
        this.input -= part.length;
        at += part.length;
        continue;
      }
      const size = this.take(bytes[at] ?? 0);
      if (size !== undefined) found.push(size);
      at += 1;
    }
    return found;
  }

  /** Takes a byte that is no input; a size with its last one. */
  private take(byte: number): TerminalSize | undefined {
    this.begun.push(byte);
    const [kind = 0, zero = 0, low = 0, high = 0, c0 = 0, c1 = 0, r0 = 0, r1 = 0] = this.begun;
    if (this.begun.length === HEAD_BYTES) {
      const length = low + (high << 8);
      if (zero !== 0 || kind > SIZE || (kind === SIZE && length !== SIZE_BYTES)) throw new Error('The writer of a console sent no frame.');
      if (kind === SIZE) return undefined;
      this.input = length;
      this.begun = [];
    }
    if (this.begun.length < HEAD_BYTES + SIZE_BYTES) return undefined;
    this.begun = [];
    return { columns: c0 + (c1 << 8), rows: r0 + (r1 << 8) };
  }
}
