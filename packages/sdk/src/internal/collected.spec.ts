// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Collected } from './collected.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const rest = (collected: Collected, pattern: string | RegExp): string =>
  Buffer.concat(collected.after(collected.endOf(pattern) ?? Number.NaN)).toString();

describe('Collected', () => {
  it('gives back what follows a match, however the bytes are cut', () => {
    const text = '\uFEFFüber 𝄞 ready\r\n/ # ünd so';
    for (let size = 1; size < 12; size += 1) {
      const collected = new Collected();
      const all = bytes(text);
      for (let at = 0; at < all.length; at += size) collected.push(all.subarray(at, at + size));
      expect(collected.text).to.equal(text);
      expect(rest(collected, 'ready')).to.equal('\r\n/ # ünd so');
      expect(rest(collected, /𝄞/u)).to.equal(' ready\r\n/ # ünd so');
      expect(rest(collected, /so/g)).to.equal('');
      expect(rest(collected, '')).to.equal(text);
    }
  });

  it('loses no byte that is not UTF-8', () => {
    const collected = new Collected();
    collected.push(Uint8Array.of(0xff, 0x61, 0x62, 0xc3));
    collected.push(Uint8Array.of(0x28, 0xf0));
    expect(Buffer.concat(collected.after(collected.endOf('a') ?? 0))).to.deep.equal(Buffer.from([0x62, 0xc3, 0x28, 0xf0]));
  });

  it('finds a global expression from the start each time', () => {
    const collected = new Collected();
    collected.push(bytes('one one'));
    const pattern = /one/g;
    expect([collected.endOf(pattern), collected.endOf(pattern)]).to.deep.equal([3, 3]);
  });
});
