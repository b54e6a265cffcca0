// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { toMachineStats } from './machine-stats.js';

describe('What a machine has done', () => {
  const now = new Date('2026-01-02T03:04:05.678Z');

  it('is added up over its CPUs, disks and interfaces, and there part by part', () => {
    const stats = toMachineStats(
      {
        'vcpu:0.exits_halt': 1,
        'vcpu:0.exits_port_in': 2,
        'vcpu:0.unclaimed_accesses': 100,
        'vcpu:1.exits_halt': 4,
        'vcpu:0.run_ns': 1e9,
        'vcpu:1.run_ns': 5e8,
        'vcpu:0.wait_ns': 2e8,
        'process.resident_bytes': 4096,
        'disk:a.read_bytes': 10,
        'disk:b.read_bytes': 20,
        'disk:b.write_bytes': 5,
        'net:eth0.rx_bytes': 7,
        'net:eth0.tx_bytes': 8,
        'vsock.rx_bytes': 1000,
        'later.unknown': 1,
      },
      now,
    );
    const { parts, ...sums } = stats;
    expect(sums).to.deep.equal({
      takenAt: '2026-01-02T03:04:05.678Z',
      cpuSeconds: 1.5,
      stolenSeconds: 0.2,
      residentBytes: 4096,
      exits: 7,
      diskReadBytes: 30,
      diskWriteBytes: 5,
      netReceiveBytes: 7,
      netTransmitBytes: 8,
    });
    expect(parts.map(({ name }) => name)).to.deep.equal(['vcpu:0', 'vcpu:1', 'process', 'disk:a', 'disk:b', 'net:eth0', 'vsock']);
    expect(parts[4]).to.deep.equal({ name: 'disk:b', component: 'disk', metrics: { read_bytes: 20, write_bytes: 5 } });
  });

  it('leaves out what the host does not say', () => {
    expect(toMachineStats({}, now)).to.deep.equal({
      takenAt: '2026-01-02T03:04:05.678Z',
      exits: 0,
      diskReadBytes: 0,
      diskWriteBytes: 0,
      netReceiveBytes: 0,
      netTransmitBytes: 0,
      parts: [],
    });
  });
});
