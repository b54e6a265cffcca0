// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { lvmPlace, lvmText } from './pool-lvm.js';

describe('Where a pool of logical volumes is, on the command line', () => {
  it('is a group, or a thin pool of it', () => {
    const thin = lvmPlace({ kind: 'lvm-thin', group: 'vg0', thinPool: 'thin' });
    expect(thin).to.deep.equal({ lvmThin: { volumeGroup: 'vg0', thinPool: 'thin' } });
    expect(lvmText(thin)).to.equal('vg0/thin');
    const thick = lvmPlace({ kind: 'lvm', group: 'vg0' });
    expect(thick).to.deep.equal({ lvm: { volumeGroup: 'vg0' } });
    expect(lvmText(thick)).to.equal('vg0');
    expect(lvmText({})).to.equal('');
  });

  it('is told as it was given, so that the API says what lacks', () => {
    expect(lvmPlace({ kind: 'dir' })).to.deep.equal({});
    expect(lvmPlace({ kind: 'lvm-thin', group: 'vg0' })).to.deep.equal({ lvmThin: { volumeGroup: 'vg0', thinPool: '' } });
    expect(lvmPlace({ kind: 'lvm', group: 'vg0', thinPool: 't' })).to.deep.equal({ lvmThin: { volumeGroup: 'vg0', thinPool: 't' } });
  });
});
