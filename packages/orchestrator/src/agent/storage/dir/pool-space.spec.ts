// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { keptBack } from './pool-space.js';

const MEBIBYTE = 2 ** 20;

describe('What a pool keeps back', () => {
  it('is 1 % of the file system, from 64 MiB to 1 GiB, and never more than a sixteenth', () => {
    const kept = (mebibytes: number) => keptBack(mebibytes * MEBIBYTE) / MEBIBYTE;
    expect([8, 24, 1024, 4096, 16_384, 10 * 2 ** 20].map(kept).map(Math.floor)).to.deep.equal([0, 1, 64, 64, 163, 1024]);
    expect(kept(8)).to.equal(0.5);
  });
});
