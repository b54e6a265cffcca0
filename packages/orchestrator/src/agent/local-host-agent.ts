// SPDX-License-Identifier: Apache-2.0
import type { BalloonFacts, ReclaimFacts } from '../common/balloon.js';
import type { PoolRef } from '../common/pool.js';
import { cpus, hostname, release, totalmem } from 'node:os';
import type { Readable } from 'node:stream';
import { Joined, KeyedQueue } from '../common/async.js';
import type { Log } from '../common/log.js';
import {
  type ClaimCommand,
  type CollectReport,
  type CommandControl,
  type ConsoleLog,
  type EnsureBridgeCommand,
  type EnsureNetworkCommand,
  type EnsureVolumeCommand,
  type GrowVolumeCommand,
  HostAgent,
  type HostConsole,
  type HostDescription,
  type HostEvent,
  type HostLease,
  type HostReport,
  type ImageFacts,
  type DownloadImageCommand,
  type ImportImageCommand,
  type LaunchCommand,
  type LeavePoolCommand,
  type MachineCommand,
  type SetBalloonCommand,
  type SetLinkCommand,
  type SetThrottleCommand,
  type MachineObservation,
  type OpenConsoleCommand,
  type Ownership,
  type PoolFacts,
  type PoolUsage,
  type PoolUsageCommand,
  type PortCommand,
  type RemoveVolumeCommand,
  type UploadImageCommand,
  type VolumeFacts,
} from '../host-agent/host-agent.js';
import { currentBootId } from './boot-id.js';
import type { ConsoleArchive } from './console-archive.js';
import { Generations } from './generations.js';
import type { Hypervisor } from './hypervisor/hypervisor.js';
import type { InstallationMark } from './installation-mark.js';
import { launchSpec } from './launch-spec.js';
import { requireFreePort } from './network/free-port.js';
import { attachLinks } from './network/host-links.js';
import type { MacvtapLinks } from './network/macvtap/macvtap-links.js';
import type { NetworkDriver } from './network/network-driver.js';
import type { HostPools } from './storage/host-pools.js';
import { KEPT_DAYS } from './storage/dir/set-aside.js';
import type { SeedDisks } from './seed-disks.js';
import { Touched } from './touched.js';
import { VolumeGrowth } from './volume-growth.js';

/** What a host agent is made of. */
export interface HostParts {
  hypervisor: Hypervisor;
  network: NetworkDriver;
  macvtaps: MacvtapLinks;
  pools: HostPools;
  consoles: ConsoleArchive;
  seeds: SeedDisks;
  mark: InstallationMark;
  log: Log;
}

/** The host side: joins hypervisor, storage and network of this very host. */
export class LocalHostAgent extends HostAgent {
  private readonly generations = new Generations();
  private readonly touched = new Touched();
  /** Commands of one machine run one after another. */
  private readonly queue = new KeyedQueue();
  /** A worker answers one call after another, and these wait for its guest: many at once would keep it from everything else. */
  private readonly balloons = new Joined<BalloonFacts>();
  private readonly reclaims = new Joined<ReclaimFacts>();
  private readonly growth: VolumeGrowth;
  private ready: Promise<void> | undefined;

  constructor(private readonly parts: HostParts) {
    super();
    this.growth = new VolumeGrowth(parts, this.queue);
  }

  override claim(command: ClaimCommand): Promise<void> {
    return this.parts.mark.claim(command, () => this.parts.pools.home.holdsData());
  }

  override async describe(): Promise<HostDescription> {
    return {
      name: hostname(),
      cpus: cpus().length,
      memoryMiB: Math.floor(totalmem() / 2 ** 20),
      kernel: release(),
      bootId: await currentBootId(),
    };
  }

  override report(): Promise<HostReport> {
    return this.parts.hypervisor.report();
  }

  override makePool(pool: PoolRef): Promise<void> {
    return this.parts.pools.make(pool);
  }

  override openPool(pool: PoolRef): Promise<PoolFacts> {
    return this.parts.pools.open(pool);
  }

  override closePool({ pool, force }: LeavePoolCommand): Promise<void> {
    return this.parts.pools.close(pool, force ?? false);
  }

  override removePool({ pool, force }: LeavePoolCommand): Promise<void> {
    return this.parts.pools.remove(pool, force ?? false);
  }

  override poolUsage({ pool }: PoolUsageCommand): Promise<PoolUsage> {
    return this.parts.pools.use(pool, (opened) => opened.usage());
  }

  override downloadImage(command: DownloadImageCommand, control: CommandControl): Promise<ImageFacts> {
    this.touched.touch(command.id);
    return this.parts.pools.home.downloadImage(command, control);
  }

  override importImage(command: ImportImageCommand, control: CommandControl): Promise<ImageFacts> {
    this.touched.touch(command.id);
    return this.parts.pools.home.importImage(command, control);
  }

  override uploadImage(command: UploadImageCommand, content: Readable, control: CommandControl): Promise<ImageFacts> {
    this.touched.touch(command.id);
    return this.parts.pools.home.uploadImage(command, content, control);
  }

  override removeImage(command: { id: string }): Promise<void> {
    return this.parts.pools.home.removeImage(command.id);
  }

  override async ensureVolume({ pool, origin, ...command }: EnsureVolumeCommand, control: CommandControl): Promise<VolumeFacts> {
    const { pools } = this.parts;
    this.touched.touch(command.id);
    if (origin !== undefined) {
      const from = await pools.use(origin.pool, (opened) => Promise.resolve(opened.diskFiles(origin.id, origin)));
      return pools.use(pool, (opened) => opened.ensureVolume({ ...command, from }, control));
    }
    const imagePath = command.imageId === undefined ? {} : { imagePath: pools.home.imagePath(command.imageId) };
    return pools.use(pool, (opened) => opened.ensureVolume({ ...command, ...(pool === undefined ? {} : imagePath) }, control));
  }

  override async growVolume(command: GrowVolumeCommand): Promise<VolumeFacts> {
    await this.adopted();
    return this.growth.grow(command);
  }

  override removeVolume({ id, pool }: RemoveVolumeCommand): Promise<void> {
    return this.parts.pools.use(pool, (opened) => opened.removeVolume(id));
  }

  override usedSubnets(): Promise<string[]> {
    return this.parts.network.usedSubnets();
  }

  override ensureNetwork(command: EnsureNetworkCommand | EnsureBridgeCommand): Promise<void> {
    this.touched.touch(command.id);
    return this.parts.network.ensureNetwork(command);
  }

  override removeNetwork(command: { id: string }): Promise<void> {
    return this.parts.network.removeNetwork(command.id);
  }

  override requireFreePort(command: PortCommand): Promise<void> {
    return requireFreePort(command);
  }

  override listLeases(): Promise<HostLease[]> {
    return this.parts.network.leases();
  }

  override prepareMachine(command: LaunchCommand): Promise<void> {
    this.touched.touch(command.id);
    return this.order(command, async () => {
      await attachLinks(command, this.parts);
    });
  }

  override createMachine(command: LaunchCommand): Promise<{ pid?: number }> {
    this.touched.touch(command.id);
    return this.order(command, async () => {
      const spec = await launchSpec(command, this.parts.pools);
      return this.parts.hypervisor.create({ ...spec, disks: [...spec.disks, ...(await this.parts.seeds.make(command))] });
    });
  }

  override bootMachine(command: MachineCommand): Promise<void> {
    return this.order(command, (id) => this.parts.hypervisor.boot(id));
  }

  override pressPowerButton(command: MachineCommand): Promise<void> {
    return this.order(command, (id) => this.parts.hypervisor.powerButton(id));
  }

  override pauseMachine(command: MachineCommand): Promise<void> {
    return this.order(command, (id) => this.parts.hypervisor.pause(id));
  }

  override resumeMachine(command: MachineCommand): Promise<void> {
    return this.order(command, (id) => this.parts.hypervisor.resume(id));
  }

  override setLink(command: SetLinkCommand): Promise<void> {
    return this.order(command, (id) => this.parts.hypervisor.setLink(id, command.name, command.link));
  }

  override announce(command: { id: string; name: string }): Promise<void> {
    return this.parts.hypervisor.announce(command.id, command.name);
  }

  override setThrottle(command: SetThrottleCommand): Promise<void> {
    const { kind, name, limits } = command;
    return this.order(command, (id) => this.parts.hypervisor.setThrottle(id, { kind, name }, limits));
  }

  override setBalloon(command: SetBalloonCommand): Promise<void> {
    return this.order(command, (id) => this.parts.hypervisor.setBalloon(id, command.targetMiB));
  }

  override machineBalloon(command: { id: string }): Promise<BalloonFacts> {
    return this.balloons.run(command.id, () => this.parts.hypervisor.balloon(command.id));
  }

  override reclaimMemory(command: { id: string }): Promise<ReclaimFacts> {
    return this.reclaims.run(command.id, () => this.parts.hypervisor.reclaimMemory(command.id));
  }

  override killMachine(command: MachineCommand): Promise<void> {
    return this.order(command, async (id) => {
      // First the end, then what it left: so the last words of the guest are kept too.
      await this.parts.hypervisor.kill(id);
      await this.archive(id);
      await this.parts.hypervisor.release(id);
    });
  }

  override releaseMachine(command: MachineCommand): Promise<void> {
    return this.order(command, async (id) => {
      await this.archive(id);
      await this.parts.hypervisor.release(id);
      await this.parts.network.detach(id);
      await this.parts.macvtaps.detach(id);
      await this.parts.seeds.remove(id);
    });
  }

  override async forgetMachine(command: { id: string }): Promise<void> {
    this.generations.forget(command.id);
    await this.parts.consoles.remove(command.id);
    await this.parts.seeds.remove(command.id);
  }

  override async listMachines(): Promise<MachineObservation[]> {
    await this.adopted();
    return this.parts.hypervisor.list();
  }

  override machineMetrics(command: { id: string }): Promise<Record<string, number>> {
    return this.parts.hypervisor.metrics(command.id);
  }

  override beginCollect(): Promise<{ epoch: number }> {
    return Promise.resolve({ epoch: this.touched.advance() });
  }

  override async collectGarbage(owned: Ownership): Promise<CollectReport> {
    await this.parts.mark.require(owned.installation);
    await this.adopted();
    if (!this.touched.knows(owned.epoch)) return { removed: [], setAside: [] };
    const keep = (ids: string[]) => this.touched.keeping(ids, owned.epoch);
    const machines = keep(owned.machines);
    const removed: string[] = [];
    for (const found of await this.parts.hypervisor.list()) {
      if (machines.has(found.id)) continue;
      await this.parts.hypervisor.kill(found.id);
      await this.parts.hypervisor.release(found.id);
      removed.push(`worker of ${found.id}`);
    }
    removed.push(...(await this.parts.network.collect({ machines, networks: keep(owned.networks) })));
    removed.push(...(await this.parts.macvtaps.collect(machines)));
    const files = await this.parts.pools.collect(owned.pools, { volumes: keep(owned.volumes), images: keep(owned.images) });
    removed.push(...files.removed, ...(await this.parts.consoles.collect(machines)), ...(await this.parts.seeds.collect(machines)));
    if (removed.length > 0) this.parts.log.info({ removed }, 'removed what no resource owns');
    const { setAside, failed } = files;
    if (failed.length > 0) this.parts.log.error({ failed }, 'could not set aside images or volumes that the database does not know');
    if (setAside.length > 0)
      this.parts.log.warn({ setAside, days: KEPT_DAYS }, 'set aside images or volumes that the database does not know');
    return { removed, setAside };
  }

  override async readConsole(command: { id: string; offset?: number; tailBytes?: number }): Promise<ConsoleLog> {
    const log = await this.wholeConsole(command.id);
    const end = log.offset + log.bytes.length;
    const wanted = Math.max(command.offset ?? log.offset, command.tailBytes === undefined ? log.offset : end - command.tailBytes);
    const from = Math.min(Math.max(wanted, log.offset), end);
    return { offset: from, bytes: log.bytes.subarray(from - log.offset) };
  }

  override openConsole({ id, ...access }: OpenConsoleCommand, signal?: AbortSignal): Promise<HostConsole> {
    return this.parts.hypervisor.openConsole(id, { ...access, ...(signal === undefined ? {} : { signal }) });
  }

  override watch(listener: (event: HostEvent) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.parts.hypervisor.watch(listener, signal);
    const leave = this.parts.network.onLeases(() => listener({ kind: 'leases' }));
    signal.addEventListener('abort', leave, { once: true });
  }

  override async close(): Promise<void> {
    for (const machine of await this.parts.hypervisor.list()) {
      if (machine.pid !== process.pid) continue;
      await this.parts.hypervisor.kill(machine.id); // it ends with this process
      await this.archive(machine.id);
    }
    await this.parts.hypervisor.close();
    await this.parts.network.close();
    this.parts.pools.leave();
  }

  private async order<T>(command: MachineCommand, act: (id: string) => Promise<T>): Promise<T> {
    await this.adopted();
    return this.queue.run(command.id, () => {
      this.generations.check(command);
      return act(command.id);
    });
  }

  private adopted(): Promise<void> {
    this.ready ??= this.parts.hypervisor.adopt().catch((error: unknown) => {
      this.ready = undefined; // the next caller tries again
      throw error;
    });
    return this.ready;
  }

  /** Keeps what the console of a machine has shown before what holds it goes. A machine must end though its log cannot be kept. */
  private async archive(id: string): Promise<void> {
    try {
      const log = await this.keptConsole(id);
      if (log !== undefined && log.bytes.length > 0) await this.parts.consoles.store(id, log);
    } catch (error) {
      this.parts.log.error({ err: error, machine: id }, 'the console log of a machine could not be kept');
    }
  }

  private async wholeConsole(id: string): Promise<ConsoleLog> {
    return (await this.keptConsole(id)) ?? (await this.parts.consoles.load(id));
  }

  /** What the hypervisor has of the console of a machine that was booted. */
  private async keptConsole(id: string): Promise<ConsoleLog | undefined> {
    const found = (await this.listMachines()).some((machine) => machine.id === id && machine.state !== 'configured');
    return found ? this.parts.hypervisor.readConsole(id) : undefined;
  }
}
