// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { mappedAt, mapperName, numberOf } from './device-names.js';

describe('The device of a logical volume', () => {
  it('has the name of group and volume, which no other has', () => {
    expect(mapperName('vg0', 'vol-1')).to.equal('vg0-vol--1');
    expect(mapperName('vg0-vol', '1')).to.equal('vg0--vol-1');
  });

  it('is found by its number', () => {
    expect(numberOf(0xfe05n)).to.equal('254:5');
    expect(numberOf(0x1000_0052_3489n)).to.equal('4660:1417');
  });

  it('is none where nothing, or something else, is', () => {
    expect(mappedAt('/dev/no-such-group/none')).to.equal(undefined);
    for (const path of ['/dev/null', '/dev']) expect(mappedAt(path), path).to.equal('no block device');
  });
});
