// SPDX-License-Identifier: Apache-2.0
// Frames between host and lab: one type byte, a little-endian 32-bit length, the payload. The other side is
// lab/init/src/wire.rs.

const HEADER = 5;
const MAX_PAYLOAD = 1 << 20;

/** A frame ready to be sent. `type` is one letter: C config, I input, S signal, T tick, W window. */
export function frame(type, payload = Buffer.alloc(0)) {
  const header = Buffer.alloc(HEADER);
  header.write(type, 'latin1');
  header.writeUInt32LE(payload.length, 1);
  return Buffer.concat([header, payload]);
}

/** The payload of the first frame: NUL-terminated `key=value` records. */
export function configPayload(records) {
  for (const [key, value] of records) {
    if (value.includes('\0')) throw new TypeError(`A NUL byte in ${key} cannot be passed on`);
  }
  return Buffer.from(records.map(([key, value]) => `${key}=${value}\0`).join(''));
}

/** Cuts a byte stream into frames: R started, O output, E error output, X exit, F failure. */
export class FrameReader {
  #pending = Buffer.alloc(0);

  /** Frames completed by these bytes. Throws when they cannot be frames of the lab. */
  push(bytes) {
    this.#pending = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes]);
    const frames = [];
    while (this.#pending.length >= HEADER) {
      const length = this.#pending.readUInt32LE(1);
      if (length > MAX_PAYLOAD) throw new Error(`The lab sent a frame of ${length} bytes`);
      if (this.#pending.length < HEADER + length) break;
      frames.push({
        type: String.fromCharCode(this.#pending[0]),
        payload: this.#pending.subarray(HEADER, HEADER + length),
      });
      this.#pending = this.#pending.subarray(HEADER + length);
    }
    return frames;
  }
}
