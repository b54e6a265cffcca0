// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { HypervisorSpec } from '../hypervisor.js';
import { toExit, toNativeSpec, toWorkerExit } from './native-mapper.js';

describe('The end of a machine', () => {
  const registers = { rip: '0xfff0' };

  it('names the CPU that crashed, with its registers', () => {
    expect(toExit({ reason: 'panic', registers: { cpu: 3, registers } })).to.deep.equal({
      reason: 'panic',
      detail: 'The guest kernel panicked. It was CPU 3.',
      registers,
    });
    expect(toExit({ reason: 'panic' })).to.deep.equal({ reason: 'panic', detail: 'The guest kernel panicked.' });
  });

  it('shows no registers that are not those of the crash', () => {
    const exit = toExit({ reason: 'triple-fault', registers: { cpu: 1, afterReset: true, registers } });
    expect(exit.registers).to.equal(undefined);
    expect(exit.detail).to.contain('triple fault. It was CPU 1. Its registers are lost');
  });

  it('takes anything that a worker may have sent as its registers', () => {
    for (const report of [null, 1, 'x', {}, { cpu: 'x' }, { registers: null }, { cpu: 1, registers: 'x' }])
      expect(toExit({ reason: 'panic', registers: report }).registers).to.equal(undefined);
  });
});

describe('The specification of a machine', () => {
  it('says how frames move and what the balloon holds, and what was not asked for not at all', () => {
    const traffic = { backend: 'vhost', queues: 4, mtu: 9000, link: 'down', allowSpoofedMac: true } as const;
    const user = {
      name: 'eth2',
      user: { forwards: [{ protocol: 'tcp' as const, hostPort: 8080, guestPort: 80 }] },
      mac: '52:54:00:00:00:03',
    };
    const [plain, asked] = [
      { name: 'eth0', tap: 't0', mac: '52:54:00:00:00:01' },
      { name: 'eth1', tap: 't1', mac: '52:54:00:00:00:02', ...traffic },
    ] as const;
    const spec: HypervisorSpec = {
      id: 'm',
      profile: 'standard',
      acpi: true,
      cpus: 1,
      memoryMiB: 64,
      memoryOvercommit: false,
      kernelPath: '/k',
      disks: [],
      interfaces: [plain, asked, user],
      rng: true,
      balloon: { targetMiB: 2, deflateOnOom: false, freePageReporting: true, freePageHinting: true, statisticsSeconds: 5 },
      isolation: 'process',
      onReboot: 'restart',
      onCrash: 'stop',
    };
    expect(toNativeSpec(spec, '/s').balloon).to.deep.equal({
      target: 2 << 20,
      deflateOnOom: false,
      freePageReporting: true,
      freePageHinting: true,
      statisticsInterval: 5,
    });
    expect(toNativeSpec(spec, '/s').interfaces).to.deep.equal([
      { id: 'eth0', tap: { name: 't0' }, mac: plain.mac },
      { id: 'eth1', tap: { name: 't1' }, mac: asked.mac, ...traffic },
      { id: 'eth2', user: user.user, mac: user.mac },
    ]);
  });
});

describe('The disks of a machine', () => {
  it('are what the pool keeps them as, with what they are based on', () => {
    const backing = [{ path: '/p/images/i', format: 'raw', name: '../images/i' }] as const;
    const disks: HypervisorSpec['disks'] = [
      { name: 'a', path: '/p/a', format: 'raw', backing: [], readOnly: false },
      { name: 'b', path: '/p/b', format: 'qcow2', backing: [...backing], readOnly: true },
    ];
    expect(toNativeSpec({ disks, interfaces: [] } as unknown as HypervisorSpec, '/s').disks).to.deep.equal([
      { id: 'a', source: { path: '/p/a' }, format: 'raw', readOnly: false },
      {
        id: 'b',
        source: { path: '/p/b' },
        format: 'qcow2',
        backing: [{ source: { path: '/p/images/i' }, format: 'raw', name: '../images/i' }],
        readOnly: true,
      },
    ]);
  });
});

describe('The end of a worker', () => {
  it('names its signal or status, and says so when neither is known', () => {
    expect(toWorkerExit({ signal: 9 })).to.deep.equal({ reason: 'worker-exited', detail: 'The worker process ended by signal SIGKILL.' });
    expect(toWorkerExit({ signal: 31 }).detail)
      .to.contain('SIGSYS')
      .and.to.contain('sandbox');
    expect(toWorkerExit({ signal: 60 }).detail).to.equal('The worker process ended by signal 60.');
    expect(toWorkerExit({ exitStatus: 1 }).detail).to.equal('The worker process ended with status 1.');
    expect(toWorkerExit({}).detail).to.contain('by a signal; which one is not known');
  });
});
