// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import type { HostAgent } from '../../host-agent/host-agent.js';
import type { OperationsService } from '../operations/operations.service.js';
import type { Machine } from './machine.js';
import type { MachineRepository } from './machine.repository.js';
import type { MachineServices } from './machine-services.service.js';
import { MachinesReconciler } from './machines.reconciler.js';

describe('the reconciler of machines', () => {
  /** Ids that were released when a look met a worker that is not booted, and the database says `now` at the end of the look. */
  async function released(now: Machine['observed']['state']): Promise<string[]> {
    const ids: string[] = [];
    const machine = (state: string) => ({ id: 'mac-1', desired: { state: 'stopped', generation: 1 }, observed: { state } });
    const reconciler = new MachinesReconciler(
      { active: () => Promise.resolve([machine('creating')]), find: () => Promise.resolve(machine(now)) } as unknown as MachineRepository,
      {
        listMachines: () => Promise.resolve([{ id: 'mac-1', state: 'configured' }]),
        releaseMachine: ({ id }: { id: string }) => Promise.resolve(void ids.push(id)),
      } as unknown as HostAgent,
      { openTargets: () => Promise.resolve(new Set()), openFor: () => Promise.resolve(undefined) } as unknown as OperationsService,
      {} as unknown as MachineServices,
      pino({ level: 'silent' }),
    );
    await reconciler.reconcile();
    return ids;
  }

  it('takes nothing from a machine whose operation ended while it looked', async () => {
    expect(await released('running')).to.deep.equal([]);
  });

  it('takes what a worker holds that nobody goes on with', async () => {
    expect(await released('creating')).to.deep.equal(['mac-1']);
  });
});
