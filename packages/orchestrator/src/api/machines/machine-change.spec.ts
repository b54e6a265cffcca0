// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import type { UpdateMachine } from './dto/machine-requests.dto.js';
import type { Machine, MachineState } from './machine.js';
import { changeMachine, requireUnprotected } from './machine-change.js';

describe('A change of a machine', () => {
  const machine = (state: MachineState = 'stopped', spec: Partial<Machine['spec']> = {}): Machine =>
    ({
      name: 'web',
      labels: { team: 'red' },
      notes: '',
      protected: false,
      spec: { cpus: 4, memoryMiB: 1024, ...spec },
      observed: { state },
    }) as unknown as Machine;
  const refusal = (subject: Machine, body: UpdateMachine): unknown => {
    try {
      changeMachine(subject, body);
    } catch (error) {
      const { code, field } = error as { code: string; field?: string };
      return [code, field];
    }
    return undefined;
  };

  it('changes what is given, and nothing else', () => {
    const subject = machine();
    changeMachine(subject, { cpus: 2, notes: 'ours', protected: true });
    expect(subject).to.deep.include({ name: 'web', labels: { team: 'red' }, notes: 'ours', protected: true });
    expect(subject.spec).to.deep.include({ cpus: 2, memoryMiB: 1024 });
    changeMachine(subject, { name: 'mail', memoryMiB: 64, notes: '', labels: {} });
    expect(subject).to.deep.include({ name: 'mail', labels: {}, notes: '', protected: true });
    expect(subject.spec).to.deep.include({ cpus: 2, memoryMiB: 64 });
  });

  it('of name and size waits until the machine is stopped', () => {
    for (const state of ['creating', 'starting', 'running', 'paused', 'stopping', 'deleting', 'unknown'] as const) {
      const subject = machine(state);
      expect(refusal(subject, { name: 'mail' }), state).to.deep.equal(['machine.state_conflict', 'name']);
      expect(refusal(subject, { notes: 'x', cpus: 1 }), state).to.deep.equal(['machine.state_conflict', 'cpus']);
      expect(refusal(subject, { memoryMiB: 64 }), state).to.deep.equal(['machine.state_conflict', 'memoryMiB']);
      expect(subject, 'nothing is half changed').to.deep.equal(machine(state));
      expect(refusal(subject, { notes: 'x', labels: {}, protected: true }), state).to.equal(undefined);
    }
    const leaving = machine('failed');
    leaving.observed.nextDeleteAt = '2026-01-01T00:00:00Z';
    expect(refusal(leaving, { cpus: 1 })).to.deep.equal(['machine.state_conflict', 'cpus']);
  });

  it('of the size is held to all that the machine is', () => {
    const topology = { cpu: { topology: { sockets: 2, cores: 2, threads: 1 } } };
    expect(refusal(machine('stopped', topology), { cpus: 3 })).to.deep.equal(['spec.cpu_topology', 'cpu.topology']);
    const balloon = { balloon: { targetMiB: 512, deflateOnOom: true, freePageReporting: false, statisticsSeconds: 0 } };
    expect(refusal(machine('stopped', balloon), { memoryMiB: 256 })).to.deep.equal(['spec.balloon_invalid', 'balloon.targetMiB']);
    const huge = { memoryOptions: { backing: 'hugetlb-1G' as const } };
    expect(refusal(machine('stopped', huge), { memoryMiB: 512 })).to.deep.equal(['spec.memory_unaligned', 'memoryMiB']);
  });

  it('may keep it from being deleted', () => {
    const subject = machine();
    requireUnprotected(subject);
    changeMachine(subject, { protected: true });
    expect(() => requireUnprotected(subject)).to.throw('protected against deletion');
  });
});
