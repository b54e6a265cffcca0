// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { ApiError } from '../../common/api-error.js';
import type { LinkState } from '../../common/interface-traffic.js';
import type { Database } from '../../database/database.js';
import type { HostAgent, SetLinkCommand } from '../../host-agent/host-agent.js';
import type { OperationRepository } from '../operations/operation.repository.js';
import type { Machine } from './machine.js';
import { LiveChanges } from './live-changes.service.js';
import { MachineLinks } from './machine-links.service.js';
import type { MachineRepository } from './machine.repository.js';
import { UnseenMachines } from './unseen-machines.js';

describe('A cable', () => {
  let machine: Machine;
  let guest: LinkState;
  let told: number[];
  /** What the host does before it obeys. */
  let before: (command: SetLinkCommand) => Promise<void>;
  let links: MachineLinks;

  beforeEach(() => {
    machine = {
      id: 'mac-1',
      name: 'web',
      labels: {},
      notes: '',
      protected: false,
      generation: 1,
      createdAt: '',
      updatedAt: '',
      spec: { interfaces: [{ name: 'eth0', network: 'net-1', mac: '02:00:00:00:00:01' }] },
      desired: { state: 'running', generation: 1 },
      observed: { state: 'running', generation: 1, restarts: 0, attempt: 0, addresses: [], disks: [] },
    } as unknown as Machine;
    guest = 'up';
    told = [];
    before = () => Promise.resolve();
    const found = () => Promise.resolve(structuredClone(machine));
    const repository = {
      load: found,
      find: found,
      save: (changed: Machine) => {
        machine = changed;
        return Promise.resolve();
      },
    } as unknown as MachineRepository;
    const database = { write: (run: (tx: unknown) => Promise<unknown>) => run({ db: undefined, emit: () => undefined }) } as Database;
    const operations = { openFor: () => Promise.resolve(undefined) } as unknown as OperationRepository;
    const agent = {
      setLink: async (command: SetLinkCommand) => {
        told.push(command.generation);
        await before(command);
        guest = command.link;
      },
    } as unknown as HostAgent;
    links = new MachineLinks(repository, new LiveChanges(repository, operations, new UnseenMachines(repository), database), agent);
  });

  it('is in the end where the last request wants it, however long the first one takes', async () => {
    let release: () => void = () => undefined;
    const slow = new Promise<void>((resolve) => {
      release = resolve;
    });
    before = ({ link }) => (link === 'down' ? slow : Promise.resolve());
    const both = [links.set('web', 'eth0', 'down', undefined), links.set('web', 'eth0', 'up', undefined)];
    await new Promise((resolve) => setImmediate(resolve)); // whatever can go on, has
    release();
    await Promise.all(both);
    expect([machine.spec.interfaces[0]?.link, guest]).to.deep.equal(['up', 'up']);
  });

  it('is pulled out of a guest that is paused meanwhile', async () => {
    before = ({ generation }) => {
      if (generation === 2) return Promise.resolve();
      machine.desired = { state: 'paused', generation: 2 };
      machine.observed.state = 'pausing';
      return Promise.reject(new ApiError('machine.state_conflict', { detail: 'Older than another command.', remedy: 'None.' }));
    };
    await links.set('web', 'eth0', 'down', undefined);
    expect([told, guest]).to.deep.equal([[1, 2], 'down']);
  });

  it('is kept for the next start when the guest ends meanwhile', async () => {
    before = () => Promise.reject(new ApiError('worker.gone', { detail: 'It has ended.', remedy: 'Start it.' }));
    expect((await links.set('web', 'eth0', 'down', undefined)).spec.interfaces?.[0]?.link).to.equal('down');
    expect(machine.spec.interfaces[0]?.link).to.equal('down');
  });
});
