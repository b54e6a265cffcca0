// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Log } from '../../../common/log.js';
import type { HostEvent, LaunchCommand } from '../../../host-agent/host-agent.js';
import type { NetworkDriver } from '../../network/network-driver.js';
import type { DirPool } from '../../storage/dir/dir-pool.js';
import { HostPools } from '../../storage/host-pools.js';
import { currentBootId } from '../../boot-id.js';
import { ConsoleArchive } from '../../console-archive.js';
import { InstallationMark } from '../../installation-mark.js';
import { NodeFileTools } from '../../files/node-file-tools.js';
import { SeedDisks } from '../../seed-disks.js';
import { LocalHostAgent } from '../../local-host-agent.js';
import { FakeHypervisor } from '../fake/fake-hypervisor.js';
import { FakeMacvtaps } from '../../network/fake/fake-macvtaps.js';
import { NativeHypervisor } from './native-hypervisor.js';
import type { NativeEvent, NativeExit, NativeMachine, NativeModule, NativeWorker } from './native-module.js';

const BOOT = await currentBootId();
const quiet = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined } as unknown as Log;
const command = { id: 'm', generation: 1 };
const LAUNCH: Omit<LaunchCommand, 'id' | 'generation'> = {
  profile: 'standard',
  acpi: true,
  cpus: 1,
  memoryOvercommit: false,
  memoryMiB: 64,
  kernelImageId: 'k',
  disks: [],
  interfaces: [],
  rng: true,
  isolation: 'process',
  onReboot: 'restart',
  onCrash: 'stop',
};

/** A run directory with one worker, as the core shows it. */
class Core {
  worker: NativeWorker | undefined = { id: 'm', pid: 7, bootId: BOOT, alive: false };
  console = '';
  /** Code with which consoles are refused. */
  refusal = 'worker.gone';
  exit: NativeExit | Error | undefined;
  /** What a live worker says until it ends. */
  events: NativeEvent[] = [];
  /** The guest writes this while it is ended from outside. */
  lastWords = '';
  /** What was asked of cables. */
  links: string[][] = [];
  limits: unknown[][] = [];
  readonly balloons: number[] = [];
  adopt: () => Promise<void> = () => Promise.resolve();

  private machine(): NativeMachine {
    const done = () => Promise.resolve();
    const end = () => {
      this.console += this.lastWords;
      this.lastWords = '';
      if (this.worker !== undefined) this.worker.alive = false;
      return Promise.resolve();
    };
    const { events } = this;
    return {
      id: 'm',
      pid: 7,
      consolePath: '',
      boot: done,
      pause: done,
      resume: done,
      powerButton: done,
      refreshDisk: () => Promise.resolve(0),
      growDisk: (_disk, sizeBytes) => Promise.resolve(sizeBytes),
      setThrottle: (...asked) => {
        this.limits.push(asked);
        return Promise.resolve();
      },
      announce: (id) => {
        this.links.push([id]);
        return Promise.resolve();
      },
      setLink: (...asked) => {
        this.links.push(asked);
        return Promise.resolve();
      },
      setBalloon: (target) => {
        this.balloons.push(target);
        return Promise.resolve();
      },
      balloon: () => Promise.resolve({ target: 4096, actual: 0, statistics: { ageMs: 5, freeMemory: 6, majorFaults: 7 } }),
      reclaimMemory: () => Promise.resolve({ released: 8192, complete: true }),
      close: done,
      end,
      kill: async () => {
        await end();
        this.worker = undefined;
      },
      info: () => Promise.resolve({ state: 'running' }),
      metrics: () => Promise.resolve({}),
      async *events({ signal } = {}) {
        yield* events;
        await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
      },
    };
  }

  get module(): NativeModule {
    const core = {
      Machine: {
        adopt: async () => {
          await this.adopt();
          return this.machine();
        },
        create: () => Promise.resolve(this.machine()),
      },
      listWorkers: () => Promise.resolve(this.worker === undefined ? [] : [this.worker]),
      readConsole: () => Promise.resolve(this.worker === undefined ? undefined : { offset: 0, bytes: Buffer.from(this.console) }),
      readExit: () => (this.exit instanceof Error ? Promise.reject(this.exit) : Promise.resolve(this.exit)),
      endWorker: () => {
        if (this.worker !== undefined) this.worker.alive = false;
        return Promise.resolve();
      },
      openConsole: () => Promise.reject(Object.assign(new Error('refused'), { code: this.refusal })),
      removeStale: () => {
        if (this.worker?.alive === true) return Promise.reject(Object.assign(new Error('lives'), { code: 'worker.busy' }));
        this.worker = undefined;
        return Promise.resolve();
      },
    };
    return core as unknown as NativeModule;
  }
}

describe('Machines by the native core', () => {
  let directory: string;
  let core: Core;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'flotilla-agent-'));
    core = new Core();
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const agent = (): LocalHostAgent => {
    const network = {
      detach: () => Promise.resolve(),
      onLeases: () => () => undefined,
      collect: () => Promise.resolve([]),
    } as unknown as NetworkDriver;
    const hypervisor = new NativeHypervisor(core.module, {
      runtimeDirectory: directory,
      workerPath: undefined,
      shareRoots: [],
      log: quiet,
      reachMilliseconds: 0,
    });
    return new LocalHostAgent({
      hypervisor,
      network,
      macvtaps: new FakeMacvtaps(join(directory, 'macvtaps'), []),
      pools: new HostPools({ imagePath: (id: string) => id } as unknown as DirPool, () => expect.fail('no pool is named')),
      consoles: new ConsoleArchive(join(directory, 'consoles')),
      seeds: new SeedDisks(join(directory, 'seeds'), new NodeFileTools()),
      mark: new InstallationMark(directory),
      log: quiet,
    });
  };
  const logs = async (host: LocalHostAgent) => Buffer.from((await host.readConsole({ id: 'm' })).bytes).toString();
  const exit = async (host: LocalHostAgent) => (await host.listMachines())[0]?.exit;
  /** Waits until it holds, which the limit of the test ends. */
  const until = async (holds: () => Promise<boolean>): Promise<void> => {
    while (!(await holds())) await new Promise((resolve) => setImmediate(resolve));
  };

  it('that ended while nobody looked tell why, and their console is kept when they are released', async () => {
    core.exit = { reason: 'panic', registers: { cpu: 0, registers: { rip: '0x1' } } };
    core.console = 'Kernel panic\n';
    const host = agent();
    expect(await host.listMachines()).to.deep.equal([
      {
        id: 'm',
        state: 'stopped',
        exit: { reason: 'panic', detail: 'The guest kernel panicked. It was CPU 0.', registers: { rip: '0x1' } },
      },
    ]);
    expect(await logs(host)).to.equal('Kernel panic\n');
    await host.releaseMachine(command);
    expect(core.worker).to.equal(undefined);
    expect(await host.listMachines()).to.deep.equal([]);
    expect(await logs(host)).to.equal('Kernel panic\n');
    expect(await logs(agent())).to.equal('Kernel panic\n');
  });

  it('whose worker left no word, or none that can be trusted, were ended by a signal', async () => {
    expect(await exit(agent()))
      .to.have.property('detail')
      .that.contains('by a signal');
    core.exit = new Error('Exit report in the black box cannot be trusted');
    expect((await exit(agent()))?.reason).to.equal('worker-exited');
  });

  it('that ended with the host are left to those who know of that', async () => {
    core.worker = { id: 'm', pid: 7, bootId: 'another', alive: false };
    expect(await agent().listMachines()).to.deep.equal([{ id: 'm', state: 'stopped' }]);
  });

  it('that were never made are cleared away', async () => {
    core.worker = { id: 'm', pid: 0, bootId: '', alive: false };
    expect(await agent().listMachines()).to.deep.equal([]);
    expect(core.worker).to.equal(undefined);
  });

  it('hear of limits by the names of their devices', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    await agent().setThrottle({ ...command, kind: 'disk', name: 'root', limits: { bytes: { perSecond: 5 } } });
    await agent().setThrottle({ ...command, kind: 'rng', name: '', limits: {} });
    expect(core.limits).to.deep.equal([
      [{ kind: 'disk', id: 'root' }, { bytes: { perSecond: 5 } }],
      [{ kind: 'rng' }, {}],
    ]);
  });

  it('hear of a cable by the name of its interface', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    const host = agent();
    await host.setLink({ ...command, name: 'eth1', link: 'down' });
    await host.announce({ id: 'm', name: 'eth1' });
    expect(core.links).to.deep.equal([['eth1', 'down'], ['eth1']]);
  });

  it('are asked for memory in bytes, and tell how they are off in the words of the API', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    const host = agent();
    await host.setBalloon({ ...command, targetMiB: 3 });
    expect(core.balloons).to.deep.equal([3 << 20]);
    expect(await host.machineBalloon({ id: 'm' })).to.deep.equal({
      targetBytes: 4096,
      actualBytes: 0,
      statistics: { ageMilliseconds: 5, freeBytes: 6, majorFaults: 7 },
    });
    expect(await host.reclaimMemory({ id: 'm' })).to.deep.equal({ releasedBytes: 8192, complete: true });
  });

  it('whose worker ends while it is adopted are taken for ended', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    let attempts = 0;
    core.adopt = () => {
      attempts += 1;
      if (attempts === 2 && core.worker !== undefined) core.worker.alive = false;
      return Promise.reject(Object.assign(new Error('gone'), { code: 'worker.gone' }));
    };
    core.exit = { reason: 'powered-off' };
    expect((await exit(agent()))?.reason).to.equal('powered-off');
  });

  describe('whose live worker cannot be adopted', () => {
    beforeEach(() => {
      core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
      core.adopt = () => Promise.reject(Object.assign(new Error('another protocol'), { code: 'worker.protocol' }));
    });

    /** The next event, which comes because somebody looks again and again. */
    const toldBy = async (host: LocalHostAgent): Promise<HostEvent> => {
      let told: HostEvent | undefined;
      const hear = (event: HostEvent) => {
        told = event;
      };
      host.watch(hear, new AbortController().signal);
      for (; told === undefined; await new Promise((resolve) => setTimeout(resolve, 5))) await host.listMachines();
      return told;
    };

    it('are there all the same, and say so to who wants something of them', async () => {
      const host = agent();
      expect(await host.listMachines()).to.deep.equal([{ id: 'm', state: 'unreached', pid: 7 }]);
      for (const asked of [host.bootMachine(command), host.pauseMachine(command), host.createMachine({ ...LAUNCH, ...command })])
        expect(await asked.catch((error: unknown) => error)).to.have.property('code', 'worker.busy');
    });

    it('are ended by a kill, and removed', async () => {
      const host = agent();
      await host.killMachine(command);
      expect(core.worker).to.equal(undefined);
      expect(await host.listMachines()).to.deep.equal([]);
    });

    it('are tried again at the next look, and the listeners are told', async () => {
      const host = agent();
      await host.listMachines();
      const told = toldBy(host);
      core.adopt = () => Promise.resolve();
      expect(await told).to.deep.equal({ kind: 'machine', machine: { id: 'm', state: 'running', pid: 7 } });
      expect(await host.listMachines()).to.deep.equal([{ id: 'm', state: 'running', pid: 7 }]);
    });

    it('are known to have ended once they have', async () => {
      const host = agent();
      await host.listMachines();
      const told = toldBy(host);
      core.exit = { reason: 'powered-off' };
      core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: false };
      await told;
      expect((await exit(host))?.reason).to.equal('powered-off');
    });
  });

  it('let go of who listens no more', () => {
    const hypervisors = [
      new NativeHypervisor(core.module, { runtimeDirectory: directory, workerPath: undefined, shareRoots: [], log: quiet }),
      new FakeHypervisor(join(directory, 'fake')),
    ];
    for (const hypervisor of hypervisors) {
      const { listeners } = hypervisor as unknown as { listeners: Set<unknown> };
      const leaving = new AbortController();
      hypervisor.watch(() => undefined, leaving.signal);
      expect(listeners.size).to.equal(1);
      leaving.abort();
      hypervisor.watch(() => undefined, leaving.signal);
      expect(listeners.size).to.equal(0);
    }
  });

  it('tell of what befell guests that run on, in the words they know', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    core.events = [
      { kind: 'watchdog', action: 'pause' },
      { kind: 'watchdog', action: 'bark' },
      { kind: 'disk-full', disk: 'root' },
      { kind: 'link-lost', interface: 'eth0' },
      { kind: 'share-lost', share: 'data' },
      { kind: 'tap-danced' },
      { kind: 'stopped', reason: 'watchdog' },
    ];
    const host = agent();
    const told: HostEvent[] = [];
    host.watch((event) => told.push(event), new AbortController().signal);
    await until(async () => (await exit(host)) !== undefined);
    expect(told.filter(({ kind }) => kind === 'alarm')).to.deep.equal([
      { kind: 'alarm', id: 'm', alarm: { kind: 'watchdog', action: 'pause' } },
      { kind: 'alarm', id: 'm', alarm: { kind: 'disk-full', name: 'root' } },
      { kind: 'alarm', id: 'm', alarm: { kind: 'link-lost', name: 'eth0' } },
      { kind: 'alarm', id: 'm', alarm: { kind: 'share-lost', name: 'data' } },
    ]);
    expect((await exit(host))?.reason).to.equal('watchdog');
  });

  it('whose end no event told have it from what the worker left', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    core.events = [{ kind: 'worker-exited' }];
    core.exit = { reason: 'triple-fault' };
    const host = agent();
    await until(async () => (await exit(host)) !== undefined);
    expect((await exit(host))?.reason).to.equal('triple-fault');
  });

  it('whose console is full say so, and not that they are gone', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    const host = agent();
    await host.listMachines();
    for (const [refusal, code] of [
      ['console.full', 'console.full'],
      ['console.busy', 'console.writer_taken'],
      ['worker.protocol', 'worker.gone'],
    ] as const) {
      core.refusal = refusal;
      const refused = await host.openConsole({ id: 'm', write: false }, new AbortController().signal).catch((error: unknown) => error);
      expect(refused).to.have.property('code', code);
    }
  });

  it('that are killed keep the last words of the guest', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    core.console = 'running\n';
    core.lastWords = 'ouch';
    const host = agent();
    await host.killMachine(command);
    expect(core.worker).to.equal(undefined);
    expect(await logs(host)).to.equal('running\nouch');
    await host.killMachine(command);
    await host.releaseMachine(command);
    expect(await logs(host)).to.equal('running\nouch');
  });

  it('end also when their console cannot be kept', async () => {
    core.worker = { id: 'm', pid: 7, bootId: BOOT, alive: true };
    core.console = 'x';
    const host = agent();
    rmSync(join(directory, 'consoles'), { recursive: true });
    await host.killMachine(command);
    expect(core.worker).to.equal(undefined);
  });
});
