// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { isBelow } from './shared-folder.js';

describe('A folder that a machine may share', () => {
  it('is in a root or is one, and no other', () => {
    const roots = ['/srv/shares', '/data/'];
    for (const path of ['/srv/shares', '/srv/shares/', '/srv/shares/a', '/srv//shares/a/b', '/data', '/data/x', '/srv/shares/..a'])
      expect(isBelow(path, roots), path).to.equal(true);
    for (const path of ['/', '/srv', '/srv/shares2', '/srv/shares/../x', '/srv/shares/..', 'srv/shares', '', '/data2', '/etc'])
      expect(isBelow(path, roots), path).to.equal(false);
  });

  it('is none as long as there is no root', () => {
    expect(isBelow('/', [])).to.equal(false);
  });
});
