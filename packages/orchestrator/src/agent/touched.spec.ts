// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Touched } from './touched.js';

describe('a collection', () => {
  it('leaves alone what was made since it began, also while it runs', () => {
    const touched = new Touched();
    touched.touch('before');
    const epoch = touched.advance();
    touched.touch('between');
    const keep = touched.keeping(['owned'], epoch);
    touched.touch('during');
    expect(['owned', 'before', 'between', 'during', 'stray'].map((id) => keep.has(id))).to.deep.equal([true, false, true, true, false]);
  });

  it('of another process is not known', () => {
    expect(new Touched().knows(7)).to.equal(false);
  });
});
