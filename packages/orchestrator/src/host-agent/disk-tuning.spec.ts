// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { diskTuning } from './disk-tuning.js';

describe('How a disk is served', () => {
  it('is taken over as given, and nothing else with it', () => {
    const given = { attach: 'block', queues: 2, cache: 'none', engine: 'direct', blockSize: 4096, onNoSpace: 'pause' } as const;
    expect(diskTuning({ ...given, ...{ name: 'root' } })).to.deep.equal(given);
    expect(diskTuning({ cache: 'writethrough' })).to.deep.equal({ cache: 'writethrough' });
  });
});
