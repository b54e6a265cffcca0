// SPDX-License-Identifier: Apache-2.0
import { hardwareOf } from '../common/hardware.js';
import { trafficOf } from '../common/interface-traffic.js';
import { cpus, hostname, release, totalmem } from 'node:os';
import type { Readable } from 'node:stream';
import { KeyedQueue } from '../common/async.js';
import type { Log } from '../common/log.js';
import { diskTuning } from '../host-agent/disk-tuning.js';
import {
  type ClaimCommand,
  type CollectReport,
  type CommandControl,
  type ConsoleLog,
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
  type ImportImageCommand,
  type LaunchCommand,
  type MachineCommand,
  type SetLinkCommand,
  type MachineObservation,
  type OpenConsoleCommand,
  type Ownership,
  type PoolUsage,
  type UploadImageCommand,
  type VolumeFacts,
} from '../host-agent/host-agent.js';
import { currentBootId } from './boot-id.js';
import type { ConsoleArchive } from './console-archive.js';
import { Generations } from './generations.js';
import type { Hypervisor, HypervisorSpec } from './hypervisor/hypervisor.js';
import type { InstallationMark } from './installation-mark.js';
import type { NetworkDriver } from './network/network-driver.js';
import { tapName } from './network/tap-name.js';
import type { DirPool } from './storage/dir/dir-pool.js';
import { KEPT_DAYS } from './storage/dir/set-aside.js';
import { Touched } from './touched.js';

/** What a host agent is made of. */
export interface HostParts {
  hypervisor: Hypervisor;
  network: NetworkDriver;
  pool: DirPool;
  consoles: ConsoleArchive;
  mark: InstallationMark;
  log: Log;
}

/** The host side: joins hypervisor, storage and network of this very host. */
export class LocalHostAgent extends HostAgent {
  private readonly generations = new Generations();
  private readonly touched = new Touched();
  /** Commands of one machine run one after another. */
  private readonly queue = new KeyedQueue();
  private ready: Promise<void> | undefined;

  constructor(private readonly parts: HostParts) {
    super();
  }

  override claim(command: ClaimCommand): Promise<void> {
    return this.parts.mark.claim(command, () => this.parts.pool.holdsData());
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

  override poolUsage(): Promise<PoolUsage> {
    return this.parts.pool.usage();
  }

  override importImage(command: ImportImageCommand, control: CommandControl): Promise<ImageFacts> {
    this.touched.touch(command.id);
    return this.parts.pool.importImage(command, control);
  }

  override uploadImage(command: UploadImageCommand, content: Readable, control: CommandControl): Promise<ImageFacts> {
    this.touched.touch(command.id);
    return this.parts.pool.uploadImage(command, content, control);
  }

  override removeImage(command: { id: string }): Promise<void> {
    return this.parts.pool.removeImage(command.id);
  }

  override ensureVolume(command: EnsureVolumeCommand, control: CommandControl): Promise<VolumeFacts> {
    this.touched.touch(command.id);
    return this.parts.pool.ensureVolume(command, control);
  }

  override async growVolume(command: GrowVolumeCommand): Promise<VolumeFacts> {
    await this.adopted();
    const { pool, hypervisor } = this.parts;
    const { holder } = command;
    if (holder === undefined) return pool.growVolume(command.id, command.sizeBytes);
    // In turn with the machine's own commands: one that is just made finds the new size by itself.
    return this.queue.run(holder.machineId, async () => {
      const facts = await pool.growVolume(command.id, command.sizeBytes);
      const lives = async () => (await hypervisor.list()).some(({ id, state }) => id === holder.machineId && state !== 'stopped');
      if (!(await lives())) return facts;
      await hypervisor.refreshDisk(holder.machineId, holder.disk).catch(async (error: unknown) => {
        if (await lives()) throw error; // a guest that has ended meanwhile finds the new size when it starts
      });
      return facts;
    });
  }

  override removeVolume(command: { id: string }): Promise<void> {
    return this.parts.pool.removeVolume(command.id);
  }

  override usedSubnets(): Promise<string[]> {
    return this.parts.network.usedSubnets();
  }

  override ensureNetwork(command: EnsureNetworkCommand): Promise<void> {
    this.touched.touch(command.id);
    return this.parts.network.ensureNetwork(command);
  }

  override removeNetwork(command: { id: string }): Promise<void> {
    return this.parts.network.removeNetwork(command.id);
  }

  override listLeases(): Promise<HostLease[]> {
    return this.parts.network.leases();
  }

  override prepareMachine(command: LaunchCommand): Promise<void> {
    this.touched.touch(command.id);
    return this.order(command, async () => {
      for (const link of command.interfaces) await this.parts.network.attach(command.id, link);
    });
  }

  override createMachine(command: LaunchCommand): Promise<{ pid?: number }> {
    this.touched.touch(command.id);
    return this.order(command, () => this.parts.hypervisor.create(this.resolve(command)));
  }

  /** The specification with paths and link names of this host. */
  private resolve(command: LaunchCommand): HypervisorSpec {
    const { pool } = this.parts;
    return {
      id: command.id,
      profile: command.profile,
      acpi: command.acpi,
      cpus: command.cpus,
      memoryMiB: command.memoryMiB,
      memoryOvercommit: command.memoryOvercommit,
      ...hardwareOf(command),
      kernelPath: pool.imagePath(command.kernelImageId),
      ...(command.initrdImageId === undefined ? {} : { initrdPath: pool.imagePath(command.initrdImageId) }),
      ...(command.commandLine === undefined ? {} : { commandLine: command.commandLine }),
      disks: command.disks.map((disk) => ({
        name: disk.name,
        path: pool.volumePath(disk.volumeId),
        readOnly: disk.readOnly,
        ...(disk.serial === undefined ? {} : { serial: disk.serial }),
        ...diskTuning(disk),
      })),
      interfaces: command.interfaces.map((link) => ({
        name: link.name,
        tap: tapName(command.id, link.name),
        mac: link.mac,
        ...trafficOf(link),
      })),
      rng: command.rng,
      ...(command.vsock === undefined ? {} : { vsock: command.vsock }),
      isolation: command.isolation,
      onReboot: command.onReboot,
      onCrash: command.onCrash,
    };
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
    });
  }

  override async forgetMachine(command: { id: string }): Promise<void> {
    this.generations.forget(command.id);
    await this.parts.consoles.remove(command.id);
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
    const files = await this.parts.pool.collect({ volumes: keep(owned.volumes), images: keep(owned.images) });
    removed.push(...files.removed, ...(await this.parts.consoles.collect(machines)));
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

  override openConsole(command: OpenConsoleCommand, signal?: AbortSignal): Promise<HostConsole> {
    return this.parts.hypervisor.openConsole(command.id, {
      write: command.write,
      ...(command.offset === undefined ? {} : { offset: command.offset }),
      ...(signal === undefined ? {} : { signal }),
    });
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
