// SPDX-License-Identifier: Apache-2.0
import { expect } from 'chai';
import { pino } from 'pino';
import type { HostAgent, MachineObservation } from '../../host-agent/host-agent.js';
import type { OperationsService } from '../operations/operations.service.js';
import type { Machine } from './machine.js';
import type { MachineActions } from './machine-actions.service.js';
import type { MachineRepository } from './machine.repository.js';
import type { MachineStates, ObservedChange } from './machine-states.service.js';
import { MachinesReconciler } from './machines.reconciler.js';

type State = Machine['observed']['state'];

/** A database and a host of these machines. */
class World {
  readonly released: string[] = [];
  /** Ids of machines with an open operation. */
  readonly busy = new Set<string>();
  /** Ids of machines of which nothing can be stored now. */
  readonly stuck = new Set<string>();
  readonly seen: MachineObservation[] = [];
  readonly machines = new Map<string, Machine>();
  /** What the machine is by the end of a look. */
  readonly later = new Map<string, Machine>();
  /** What happens once it is known which operations are open. */
  meanwhile: () => void = () => undefined;

  put(id: string, state: State): this {
    this.machines.set(id, machine(id, state));
    return this;
  }

  get reconciler(): MachinesReconciler {
    return new MachinesReconciler(
      {
        active: () => Promise.resolve([...this.machines.values()]),
        find: (id: string) => Promise.resolve(this.later.get(id) ?? this.machines.get(id)),
      } as unknown as MachineRepository,
      {
        listMachines: () => Promise.resolve(this.seen),
        releaseMachine: ({ id }: { id: string }) => Promise.resolve(void this.released.push(id)),
      } as unknown as HostAgent,
      {
        openTargets: () => {
          const busy = new Set(this.busy);
          this.meanwhile();
          return Promise.resolve(busy);
        },
        openFor: (id: string) => Promise.resolve(this.busy.has(id) ? {} : undefined),
      } as unknown as OperationsService,
      {
        confirm: () => Promise.resolve(),
        observe: (id: string, change: (found: Machine) => ObservedChange | undefined) => {
          if (this.stuck.has(id)) return Promise.reject(new Error('the database is away'));
          const found = this.machines.get(id);
          if (found !== undefined)
            this.machines.set(id, { ...found, observed: { ...found.observed, ...change(found) } as Machine['observed'] });
          return Promise.resolve();
        },
      } as unknown as MachineStates,
      {} as MachineActions,
      pino({ level: 'silent' }),
    );
  }

  /** State and code of the reason of each machine. */
  get stored(): unknown[] {
    return [...this.machines.values()].map(({ observed: { state, reason } }) => [state, reason?.code]);
  }
}

function machine(id: string, state: State): Machine {
  const spec = { restartPolicy: { mode: 'never' } };
  return { id, spec, desired: { state: 'stopped', generation: 1 }, observed: { state, attempt: 0 } } as unknown as Machine;
}

describe('the reconciler of machines', () => {
  /** Ids that were released when a look met a worker that is not booted, and the database says `now` at the end of the look. */
  async function released(now: State): Promise<string[]> {
    const world = new World().put('mac-1', 'creating');
    world.later.set('mac-1', machine('mac-1', now));
    world.seen.push({ id: 'mac-1', state: 'configured' });
    await world.reconciler.reconcile();
    return world.released;
  }

  it('takes nothing from a machine whose operation ended while it looked', async () => {
    expect(await released('running')).to.deep.equal([]);
  });

  it('takes what a worker holds that nobody goes on with', async () => {
    expect(await released('creating')).to.deep.equal(['mac-1']);
  });

  it('takes the stored state of a worker that cannot be asked for true', async () => {
    const world = new World().put('mac-1', 'paused').put('mac-2', 'unknown');
    for (const id of ['mac-1', 'mac-2']) world.seen.push({ id, state: 'unreached', pid: 7 });
    await world.reconciler.reconcile();
    expect(world.stored.map((one) => (one as string[])[0])).to.deep.equal(['paused', 'running']);
  });

  it('wants a look at the end of an operation when a machine ended meanwhile, and only then', async () => {
    const world = new World().put('mac-1', 'starting');
    const { reconciler } = world;
    world.busy.add('mac-1');
    for (const [state, wanted] of [
      ['configured', false],
      ['stopped', true],
      ['running', false],
    ] as const) {
      world.seen.splice(0, 1, { id: 'mac-1', state });
      await reconciler.reconcile();
      expect(reconciler.operationEnded(), state).to.equal(wanted);
    }
  });

  it('looks again when the operation that a machine was left to ended in the middle of the look', async () => {
    const world = new World().put('mac-1', 'starting');
    const { reconciler } = world;
    const wakes: string[] = [];
    reconciler.onWake((time) => wakes.push(time));
    world.busy.add('mac-1');
    world.seen.push({ id: 'mac-1', state: 'paused', pid: 7 });
    world.meanwhile = () => {
      world.busy.clear();
      reconciler.operationEnded();
    };
    await reconciler.reconcile();
    expect([world.stored, wakes.length]).to.deep.equal([[['starting', undefined]], 1]);
    world.meanwhile = () => undefined;
    await reconciler.reconcile();
    expect([world.stored, wakes.length]).to.deep.equal([[['paused', undefined]], 1]);
  });

  describe('after the host was restarted', () => {
    it('says so of every machine that ended with it, also when an operation held one up, and then settles it', async () => {
      const world = new World().put('mac-1', 'running').put('mac-2', 'running').put('mac-3', 'running');
      const { reconciler } = world;
      world.busy.add('mac-2');
      world.stuck.add('mac-3');
      let settled = 0;
      reconciler.noteHostReboot(() => {
        settled += 1;
        return Promise.resolve();
      });
      await reconciler.reconcile();
      expect([world.stored, settled]).to.deep.equal([
        [
          ['failed', 'host.rebooted'],
          ['running', undefined],
          ['running', undefined],
        ],
        0,
      ]);
      world.busy.clear();
      await reconciler.reconcile();
      expect([world.stored[1], settled]).to.deep.equal([['failed', 'host.rebooted'], 0]);
      world.stuck.clear();
      await reconciler.reconcile();
      await reconciler.reconcile();
      expect([world.stored[2], settled]).to.deep.equal([['failed', 'host.rebooted'], 1]);
    });

    it('says nothing of the host when a machine ends later', async () => {
      const world = new World().put('mac-1', 'running').put('mac-2', 'running');
      const { reconciler } = world;
      world.busy.add('mac-2');
      world.seen.push({ id: 'mac-1', state: 'running' });
      reconciler.noteHostReboot(() => Promise.resolve());
      await reconciler.reconcile();
      world.seen.pop();
      await reconciler.reconcile();
      expect(world.stored[0]).to.deep.equal(['failed', 'worker.gone']);
    });
  });
});
