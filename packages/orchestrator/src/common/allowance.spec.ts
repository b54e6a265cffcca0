// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { Allowance } from './allowance.js';

describe('an allowance', () => {
  it('lets a burst through, then so many a second, and saves up no more than a burst', () => {
    let now = 0;
    const allowance = new Allowance(3, 2, () => now);
    const passed = () => Array.from({ length: 10 }, () => allowance.take()).filter(Boolean).length;
    expect(passed()).to.equal(3);
    now = 500;
    expect(passed()).to.equal(1);
    now = 3_600_000;
    expect(passed()).to.equal(3);
  });

  it('counts parts of one together, however often it is asked', () => {
    let now = 0;
    const allowance = new Allowance(1, 2, () => now);
    let passed = 0;
    for (; now < 10_000; now += 10) if (allowance.take()) passed += 1;
    expect(passed).to.be.within(19, 21);
  });
});
