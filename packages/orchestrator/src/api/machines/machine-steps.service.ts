// SPDX-License-Identifier: Apache-2.0
import { throttlingOf } from '../../common/throttle.js';
import { trafficOf } from '../../common/interface-traffic.js';
import { Injectable } from '@nestjs/common';
import { ApiError, needingSpace } from '../../common/api-error.js';
import { sleep } from '../../common/async.js';
import { cloudInitOf } from '../../common/cloud-init.js';
import { hardwareOf } from '../../common/hardware.js';
import { macvtapOf } from '../../common/macvtap.js';
import { userNetworkOf } from '../../common/user-network.js';
import { diskTuning } from '../../host-agent/disk-tuning.js';
import {
  HostAgent,
  type LaunchCommand,
  type LaunchDisk,
  type LaunchLink,
  type MachineCommand,
  type MachineObservation,
} from '../../host-agent/host-agent.js';
import { NetworksService } from '../networks/networks.service.js';
import type { Operation } from '../operations/operation.js';
import type { Step } from '../operations/operation-definition.js';
import { VolumeRepository } from '../volumes/volume.repository.js';
import { storageOf } from '../volumes/volume.js';
import type { DiskSpec, Machine } from './machine.js';
import { failureChange, powerOffChange, reasonOf } from './machine-failure.js';
import { MachineMemory } from './machine-memory.service.js';
import { MachinePools } from './machine-pools.service.js';
import { MachineRepository } from './machine.repository.js';
import { MachineStates, type ObservedChange } from './machine-states.service.js';

/** A guest is looked after at first so often, then less and less: many may be waited for at once. */
const POLL_MILLISECONDS = { least: 50, most: 1000 };
const MEBIBYTE = 1024 * 1024;

/** The steps machines are moved by. Each comes to the same end however often it runs. */
@Injectable()
export class MachineSteps {
  /** What steps forward need of a machine does not change while its operation is open: it is read once for each run. */
  private readonly loaded = new WeakMap<Operation, Promise<Machine>>();

  constructor(
    private readonly agent: HostAgent,
    private readonly repository: MachineRepository,
    private readonly volumes: VolumeRepository,
    private readonly networks: NetworksService,
    private readonly states: MachineStates,
    private readonly memory: MachineMemory,
    private readonly pools: MachinePools,
  ) {}

  /** Copies or makes the disks. */
  makeVolumes(id: string): Step {
    return {
      name: 'volumes',
      run: async ({ operation, signal, progress, also, copying }) => {
        const machine = await this.load(operation);
        for (const [index, disk] of machine.spec.disks.entries()) {
          const volume = volumeOf(machine, disk.name);
          if (disk.volume !== undefined) continue;
          const place = await this.pools.placeOf(await this.volumes.find(volume));
          const command = {
            id: volume,
            ...place,
            ...(disk.image === undefined ? {} : { imageId: disk.image }),
            ...(disk.clone === undefined ? {} : { clone: disk.clone }),
            ...(disk.sizeMiB === undefined ? {} : { sizeBytes: disk.sizeMiB * MEBIBYTE }),
          };
          const make = () => this.agent.ensureVolume(command, { signal, onProgress: progress });
          const length = `disks[${index}].sizeMiB`;
          const facts = await (disk.image === undefined
            ? needingSpace(length, make)
            : needingSpace(
                `disks[${index}].image`,
                (disk.clone ?? 'full') === 'full' || place.pool !== undefined ? () => copying(make) : make,
                length,
              ));
          also((tx) => this.volumes.markReady(volume, facts.sizeBytes, tx.db));
        }
      },
      undo: () => this.removeVolumes(id),
    };
  }

  /** Bridge, rules, addresses, taps. `afterStop`: the machine ran before, and nothing is to be taken back while it still does. */
  connect(id: string, { afterStop = false } = {}): Step[] {
    return [
      {
        name: 'network',
        barrier: afterStop,
        run: async ({ operation }) => {
          const machine = await this.load(operation);
          const networks = machine.spec.interfaces.flatMap(({ network }) => (network === undefined ? [] : [network]));
          for (const network of new Set(networks)) await this.networks.ensureOnHost(network);
        },
      },
      { name: 'taps', run: async ({ operation }) => this.agent.prepareMachine(await this.launch(operation)), undo: () => this.release(id) },
    ];
  }

  /** Worker and guest. */
  launchSteps(id: string): Step[] {
    return [
      {
        name: 'worker',
        run: async ({ operation }) => {
          await this.agent.createMachine(await this.launch(operation));
        },
        undo: () => this.kill(id),
      },
      { name: 'boot', run: async ({ operation }) => this.agent.bootMachine(await this.command(operation)) },
      {
        name: 'observe',
        run: async ({ also }) => {
          const found = (await this.agent.listMachines()).find((machine) => machine.id === id);
          const startedAt = new Date().toISOString();
          also((tx) => this.states.observeIn(tx, id, (machine) => afterBoot(machine, found, startedAt)));
        },
      },
    ];
  }

  /** The power button, and the wait for the guest. */
  powerOff(id: string): Step[] {
    return [
      {
        name: 'power-button',
        run: async ({ operation }) => {
          if (!(await this.load(operation)).spec.acpi) return;
          await this.agent.pressPowerButton(await this.command(operation)).catch(ignoreGoneWorker);
        },
      },
      { name: 'wait', run: ({ operation, signal, aside }) => aside(() => this.waitForEnd(id, operation, signal)) },
    ];
  }

  /** Ends what runs and takes everything off the host that a stopped machine does not need; one that is gone has nothing there. */
  clear(id: string): Step[] {
    return [
      { name: 'kill', run: () => this.kill(id) },
      { name: 'release', run: () => this.release(id) },
    ];
  }

  pause(): Step {
    return { name: 'pause', run: async ({ operation }) => this.agent.pauseMachine(await this.command(operation)) };
  }

  resume(): Step {
    return { name: 'resume', run: async ({ operation }) => this.agent.resumeMachine(await this.command(operation)) };
  }

  /**
   * Removes the disks that were made for the machine, and its console log. By force also without those in a pool that cannot be
   * reached, which may never come back: when it does, nobody owns them.
   */
  destroy(id: string, force: boolean): Step[] {
    return [
      { name: 'volumes', run: () => this.removeVolumes(id, force ? ignoreAway : undefined) },
      { name: 'console', run: () => this.agent.forgetMachine({ id }) },
    ];
  }

  /** What the host needs to run the machine. */
  private async launch(operation: Operation): Promise<LaunchCommand> {
    const machine = await this.load(operation);
    const { id, spec } = machine;
    const interfaces: LaunchLink[] = [];
    for (const link of spec.interfaces) {
      const common = { name: link.name, mac: link.mac, ...trafficOf(link) };
      if (link.macvtap !== undefined) {
        interfaces.push({ ...common, macvtap: macvtapOf(link.macvtap) });
        continue;
      }
      if (link.network === undefined) {
        interfaces.push({ ...common, user: userNetworkOf(link.user ?? {}) });
        continue;
      }
      const network = await this.networks.load(link.network);
      const reserved = machine.observed.addresses.find((one) => one.interface === link.name)?.address;
      const mtu = link.mtu ?? network.mtu;
      interfaces.push({
        ...common,
        ...(mtu === undefined ? {} : { mtu }),
        networkId: network.id,
        bridge: network.bridge,
        ip: reserved ?? '',
      });
    }
    return {
      id,
      generation: machine.desired.generation,
      profile: spec.profile,
      acpi: spec.acpi,
      cpus: spec.cpus,
      memoryMiB: spec.memoryMiB,
      memoryOvercommit: this.memory.overcommit,
      ...hardwareOf(spec),
      kernelImageId: spec.boot.kernel,
      interfaces,
      ...(spec.boot.initrd === undefined ? {} : { initrdImageId: spec.boot.initrd }),
      ...(spec.boot.commandLine === undefined ? {} : { commandLine: spec.boot.commandLine }),
      disks: await Promise.all(spec.disks.map((disk) => this.launchDisk(disk, volumeOf(machine, disk.name)))),
      ...(spec.shares === undefined ? {} : { shares: spec.shares }),
      rng: spec.rng,
      ...throttlingOf(spec),
      ...(spec.vsock === undefined ? {} : { vsock: spec.vsock }),
      ...(spec.balloon === undefined ? {} : { balloon: spec.balloon }),
      ...(spec.console === undefined ? {} : { console: spec.console }),
      ...(spec.watchdog === undefined ? {} : { watchdog: spec.watchdog }),
      ...(spec.cloudInit === undefined ? {} : { cloudInit: { ...cloudInitOf(spec.cloudInit), hostname: machine.name } }),
      isolation: spec.isolation,
      onReboot: spec.onReboot,
      onCrash: spec.onCrash,
    };
  }

  private async launchDisk(disk: DiskSpec, volumeId: string): Promise<LaunchDisk> {
    const volume = await this.volumes.find(volumeId);
    if (volume === undefined) throw new Error(`Volume ${volumeId} of disk ${disk.name} is not stored.`);
    return {
      name: disk.name,
      volumeId,
      ...(await this.pools.placeOf(volume)),
      ...storageOf(volume),
      readOnly: disk.readOnly,
      ...(disk.serial === undefined ? {} : { serial: disk.serial }),
      ...diskTuning(disk),
    };
  }

  private async waitForEnd(id: string, operation: Operation, signal: AbortSignal): Promise<void> {
    const { timeoutSeconds, thenKill } = operation.input as { timeoutSeconds: number; thenKill: boolean };
    // nothing was pressed, so nothing is to be waited for
    if (thenKill && !(await this.load(operation)).spec.acpi) return;
    const begin = performance.now();
    for (;;) {
      const found = (await this.agent.listMachines()).find((machine) => machine.id === id);
      if (found === undefined || found.state === 'stopped') return;
      const waited = performance.now() - begin;
      const left = timeoutSeconds * 1000 - waited;
      if (left <= 0) break;
      await sleep(Math.min(left, POLL_MILLISECONDS.most, Math.max(POLL_MILLISECONDS.least, waited / 20)), signal);
    }
    if (thenKill) return;
    throw new ApiError('machine.stop_timeout', {
      detail: `The guest did not power off within ${timeoutSeconds} s after the power button.`,
      remedy: 'Shut the guest down from within, give more time, or kill the machine.',
    });
  }

  private async kill(id: string): Promise<void> {
    const machine = await this.repository.find(id);
    if (machine !== undefined) await this.agent.killMachine(commandOf(machine));
  }

  private async release(id: string): Promise<void> {
    const machine = await this.repository.find(id);
    if (machine !== undefined) await this.agent.releaseMachine(commandOf(machine));
  }

  private async removeVolumes(id: string, failed: (error: unknown) => void = fail): Promise<void> {
    const machine = await this.repository.find(id);
    for (const disk of machine?.spec.disks ?? []) {
      if (machine !== undefined && disk.volume === undefined) await this.removeVolume(volumeOf(machine, disk.name)).catch(failed);
    }
  }

  private async removeVolume(id: string): Promise<void> {
    await this.agent.removeVolume({ id, ...(await this.pools.placeOf(await this.volumes.find(id))) });
  }

  private async command(operation: Operation): Promise<MachineCommand> {
    return commandOf(await this.load(operation));
  }

  private load(operation: Operation): Promise<Machine> {
    const known = this.loaded.get(operation) ?? this.repository.load(operation.target.id);
    this.loaded.set(operation, known);
    return known;
  }
}

/**
 * What is stored of a machine right after its boot. A guest may have ended by then: that is its end like any later one, and no
 * failure of the operation, which for a create would take the machine and its console away.
 */
function afterBoot(machine: Machine, found: MachineObservation | undefined, startedAt: string): ObservedChange {
  const { generation } = machine.desired;
  if (found === undefined || found.state === 'stopped') {
    const { failed, reason } = reasonOf(found?.exit);
    return { ...(failed ? failureChange(machine, reason) : powerOffChange(machine, reason)), generation };
  }
  return {
    state: found.state === 'paused' ? 'paused' : 'running',
    generation,
    startedAt,
    workerPid: found.pid,
    reason: undefined,
    nextRestartAt: undefined,
  };
}

function commandOf(machine: Machine): MachineCommand {
  return { id: machine.id, generation: machine.desired.generation };
}

function volumeOf(machine: Machine, disk: string): string {
  return machine.observed.disks.find((one) => one.name === disk)?.volume ?? '';
}

function fail(error: unknown): never {
  throw error;
}

function ignoreAway(error: unknown): void {
  if (!(error instanceof ApiError) || error.code !== 'pool.unavailable') throw error;
}

function ignoreGoneWorker(error: unknown): void {
  if (!(error instanceof ApiError) || error.code !== 'worker.gone') throw error;
}
