// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { FrameReader, inputFrames, sizeFrame } from './console-frames.js';

describe('frames of a console', () => {
  it('are the same however they are cut', () => {
    const text = Buffer.alloc(66_000, 'x');
    const bytes = Buffer.concat([inputFrames(text), sizeFrame({ columns: 132, rows: 43 }), inputFrames(Buffer.from('end'))]);
    for (const step of [5, 4096, bytes.length]) {
      const reader = new FrameReader();
      const found = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) =>
        reader.read(bytes.subarray(at * step, (at + 1) * step)),
      ).flat();
      const input = Buffer.concat(found.filter((one) => one instanceof Uint8Array));
      expect(input.equals(Buffer.concat([text, Buffer.from('end')])), `${step}`).to.equal(true);
      expect(found.filter((one) => !(one instanceof Uint8Array))).to.deep.equal([{ columns: 132, rows: 43 }]);
    }
  });

  it('are refused when they are none', () => {
    for (const bad of [
      [2, 0, 0, 0],
      [0, 1, 0, 0],
      [1, 0, 3, 0],
    ]) {
      expect(() => new FrameReader().read(Buffer.from(bad)), String(bad)).to.throw('no frame');
    }
    expect(new FrameReader().read(Buffer.from([0, 0, 0, 0])), 'input of no bytes').to.deep.equal([]);
  });
});
