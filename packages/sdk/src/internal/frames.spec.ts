// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import fc from 'fast-check';
import { encodeFrame, FrameReader, Opcode } from './frames.js';

/** A server's frame: not masked. */
function serverFrame(opcode: number, payload: Uint8Array, final = true): Uint8Array {
  const head = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Uint8Array.from([(final ? 0x80 : 0) | opcode, ...head, ...payload]);
}

function readAll(reader: FrameReader, bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const messages: Uint8Array[] = [];
  let start = 0;
  for (const cut of [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    for (const { payload } of reader.read(bytes.slice(start, cut))) messages.push(payload);
    start = cut;
  }
  return messages;
}

describe('FrameReader', () => {
  it('gives the same messages however the bytes are cut', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 6 }), fc.array(fc.nat(), { maxLength: 8 }), (payloads, cuts) => {
        const bytes = Uint8Array.from(payloads.flatMap((payload) => [...serverFrame(Opcode.Binary, payload)]));
        expect(readAll(new FrameReader(), bytes, cuts)).to.deep.equal(payloads);
      }),
    );
  });

  it('joins fragments, and lets a ping pass between them', () => {
    const reader = new FrameReader();
    const bytes = [
      serverFrame(Opcode.Text, Uint8Array.of(1), false),
      serverFrame(Opcode.Ping, Uint8Array.of(9)),
      serverFrame(Opcode.Continuation, Uint8Array.of(2)),
    ];
    const frames = bytes.flatMap((part) => [...reader.read(part)]);
    expect(frames.map(({ opcode, payload }) => [opcode, [...payload]])).to.deep.equal([
      [Opcode.Ping, [9]],
      [Opcode.Text, [1, 2]],
    ]);
  });

  it('refuses a frame longer than any console sends', () => {
    const huge = Uint8Array.from([0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0]);
    expect(() => [...new FrameReader().read(huge)]).to.throw('too long');
  });
});

describe('encodeFrame', () => {
  it('masks the payload with the key it sends', () => {
    const frame = encodeFrame(Opcode.Binary, Uint8Array.of(1, 2, 3, 4, 5));
    expect(frame[1]).to.equal(0x80 | 5);
    const mask = frame.subarray(2, 6);
    expect([...frame.subarray(6)].map((byte, index) => byte ^ (mask[index & 3] ?? 0))).to.deep.equal([1, 2, 3, 4, 5]);
  });
});
