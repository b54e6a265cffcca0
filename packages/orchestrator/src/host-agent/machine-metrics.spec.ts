// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { declaredValues } from './machine-metrics.js';
import { METRICS } from './metrics.gen.js';

describe('The metrics of a machine', () => {
  const found = (name: string) =>
    declaredValues({ [name]: 1 }).map(({ part, component, metric }) => [part, component, metric.component, metric.name])[0];

  it('are known by device and name, those of a transport beside those of the device', () => {
    expect(found('disk:root.read_bytes')).to.deep.equal(['disk:root', 'disk', 'disk', 'read_bytes']);
    expect(found('disk:my.root2.pci_resets')).to.deep.equal(['disk:my.root2', 'disk', 'pci', 'pci_resets']);
    expect(found('rng0.mmio_resets')).to.deep.equal(['rng0', 'rng', 'mmio', 'mmio_resets']);
    expect(found('i8042.resets')).to.deep.equal(['i8042', 'i8042', 'i8042', 'resets']);
    expect(found('process.cpu_ns')).to.deep.equal(['process', 'process', 'process', 'cpu_ns']);
  });

  it('that are not declared, or lie under no name of a device, are left out', () => {
    for (const name of [
      '',
      '.',
      'disk:root',
      'disk:root.',
      'disk:root.rx_bytes',
      'x.resets',
      'disk:a"b.read_bytes',
      'disk:a\nb.read_bytes',
      'constructor.name',
      'disk:root.__proto__',
      'vcpu.run_ns',
      'vcpu1.run_ns',
      'vcpu:a.run_ns',
      'process1.cpu_ns',
    ])
      expect(found(name), name).to.equal(undefined);
    expect(declaredValues({ 'disk:a.read_bytes': 'many' as unknown as number })).to.deep.equal([]);
  });

  it('of more parts than a machine has are not taken', () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`disk:d${index}.read_bytes`, 1]));
    expect(declaredValues(many)).to.have.length(256);
    const vcpus = Array.from({ length: 64 }, (_, vcpu) =>
      METRICS.filter(({ component }) => component === 'vcpu').map(({ name }) => [`vcpu:${vcpu}.${name}`, 1]),
    );
    expect(declaredValues(Object.fromEntries(vcpus.flat()))).to.have.length(vcpus.flat().length);
  });
});
