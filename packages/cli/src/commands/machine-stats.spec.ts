// SPDX-License-Identifier: Apache-2.0
import type { MachineStats } from '@flotilla/sdk';
import { expect } from 'chai';
import { rates } from './machine-stats.js';

describe('What machines do in a second', () => {
  const stats = (second: number, value: number): MachineStats => ({
    takenAt: new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString(),
    exits: value,
    diskReadBytes: value,
    diskWriteBytes: 2 * value,
    netReceiveBytes: 0,
    netTransmitBytes: value,
    parts: [],
  });
  const look = (...machines: [string, MachineStats][]) => new Map(machines.map(([id, one]) => [id, { name: `the-${id}`, stats: one }]));
  const cpu = (cpuSeconds: number, stolenSeconds: number) => ({ cpuSeconds, stolenSeconds, residentBytes: 4096 });

  it('is the difference of two looks by the time between them', () => {
    const before = look(['a', { ...stats(0, 100), ...cpu(1, 0.5) }]);
    const now = look(['a', { ...stats(2, 1100), ...cpu(4, 0.7) }], ['new', stats(2, 5)]);
    expect(rates(before, now)).to.deep.equal([
      {
        id: 'a',
        name: 'the-a',
        cpuPercent: 150,
        stolenPercent: 10,
        residentBytes: 4096,
        diskReadBytes: 500,
        diskWriteBytes: 1000,
        netReceiveBytes: 0,
        netTransmitBytes: 500,
        exits: 500,
      },
    ]);
  });

  it('is nothing for a machine that began anew, and without what the host does not say', () => {
    const [row] = rates(look(['a', { ...stats(0, 100), ...cpu(9, 9) }]), look(['a', stats(1, 10)]));
    expect(row).to.deep.include({ diskReadBytes: 0, exits: 0 }).and.to.not.have.any.keys('cpuPercent', 'stolenPercent', 'residentBytes');
  });
});
