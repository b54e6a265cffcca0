// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { LVM_NAME } from './lvm.js';

describe('A pool of logical volumes', () => {
  it('takes names that cannot be mistaken for anything else', () => {
    for (const name of ['vg0', 'a', 'A.b_c+d-e', '.hidden', '...', 'x'.repeat(127)]) expect(name).to.match(LVM_NAME);
    for (const name of ['', '.', '..', '-y', '--config', '@all', 'a/b', '/dev/vg0', 'a b', 'a\n', 'ä', 'x'.repeat(128)])
      expect(name).not.to.match(LVM_NAME);
  });
});
