// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { renderMachines } from './machine-samples.js';

describe('The metrics of machines for Prometheus', () => {
  it('are a line each below the help and type of their family, with machine, device or CPU, and reason', () => {
    const values = { 'vcpu:1.exits_port_in': 3, 'vcpu:1.exits_halt': 4, 'vcpu:1.run_ns': 1_500_000_000, 'disk:root.read_bytes': 512 };
    const text = renderMachines([
      {
        machine: 'a',
        values: { ...values, 'process.resident_bytes': 4096, 'rng0.pci_resets': 2, 'disk:root.unknown': 9 },
        parts: new Set(),
      },
      { machine: 'b', values: { 'disk:root.read_bytes': 7 }, parts: new Set() },
    ]);
    expect(text.split('\n')).to.deep.equal([
      '# HELP flotilla_vcpu_exits_total Exits of a vcpu by reason.',
      '# TYPE flotilla_vcpu_exits_total counter',
      'flotilla_vcpu_exits_total{machine="a",vcpu="1",reason="port_in"} 3',
      'flotilla_vcpu_exits_total{machine="a",vcpu="1",reason="halt"} 4',
      '# HELP flotilla_vcpu_run_seconds_total Time its thread ran on a CPU of the host.',
      '# TYPE flotilla_vcpu_run_seconds_total counter',
      'flotilla_vcpu_run_seconds_total{machine="a",vcpu="1"} 1.5',
      '# HELP flotilla_process_resident_bytes Its memory, that of the guest included, that the host has in place.',
      '# TYPE flotilla_process_resident_bytes gauge',
      'flotilla_process_resident_bytes{machine="a"} 4096',
      '# HELP flotilla_disk_read_bytes_total Bytes read.',
      '# TYPE flotilla_disk_read_bytes_total counter',
      'flotilla_disk_read_bytes_total{machine="a",device="disk:root"} 512',
      'flotilla_disk_read_bytes_total{machine="b",device="disk:root"} 7',
      '# HELP flotilla_virtio_pci_resets_total Resets by the driver.',
      '# TYPE flotilla_virtio_pci_resets_total counter',
      'flotilla_virtio_pci_resets_total{machine="a",device="rng0"} 2',
      '',
    ]);
  });

  it('cannot be made to say something else by a name', () => {
    const machine = 'a"} 1\nevil{x="\\';
    expect(renderMachines([{ machine, values: { 'disk:r.read_bytes': 1 }, parts: new Set() }])).to.contain(
      '{machine="a\\"} 1\\nevil{x=\\"\\\\",device="disk:r"} 1\n',
    );
  });
});
