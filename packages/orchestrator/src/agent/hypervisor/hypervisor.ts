// SPDX-License-Identifier: Apache-2.0
import type { Limits, ThrottleKind, Throttling } from '../../common/throttle.js';
import type { BalloonFacts, BalloonSettings, ReclaimFacts } from '../../common/balloon.js';
import type { WatchdogSettings } from '../../common/watchdog.js';
import type { Hardware } from '../../common/hardware.js';
import type { InterfaceTraffic, LinkState } from '../../common/interface-traffic.js';
import type { SharedFolder } from '../../common/shared-folder.js';
import type { UserNetwork } from '../../common/user-network.js';
import type { VolumeFormat } from '../../common/volume-storage.js';
import { ApiError } from '../../common/api-error.js';
import type { ConsoleSettings } from '../../common/console-ports.js';
import type { BackingFile } from '../files/file-tools.js';
import type { DiskTuning } from '../../host-agent/disk-tuning.js';
import type { ConsoleLog, HostConsole, HostEvent, HostReport, MachineObservation } from '../../host-agent/host-agent.js';

/** The files of a disk. */
export interface DiskFiles {
  path: string;
  format: VolumeFormat;
  /** What a qcow2 image is based on, the nearest first. */
  backing: BackingFile[];
}

/** A machine with paths and tap names, ready for a worker. */
export interface HypervisorSpec extends Hardware, Throttling {
  id: string;
  profile: 'standard' | 'micro';
  acpi: boolean;
  cpus: number;
  memoryMiB: number;
  memoryOvercommit: boolean;
  kernelPath: string;
  initrdPath?: string;
  commandLine?: string;
  disks: ({ name: string; readOnly: boolean; serial?: string } & DiskFiles & DiskTuning)[];
  /** Each on a tap, or with user-mode networking. */
  interfaces: ({ name: string; tap?: string; user?: UserNetwork; mac: string } & InterfaceTraffic)[];
  shares?: SharedFolder[];
  rng: boolean;
  balloon?: BalloonSettings;
  watchdog?: WatchdogSettings;
  vsock?: { cid: number; maxConnections: number };
  console?: ConsoleSettings;
  isolation: 'process' | 'in-process';
  onReboot: 'restart' | 'stop';
  onCrash: 'stop' | 'restart' | 'pause';
}

/** How a console is opened. */
export interface ConsoleAccess {
  port?: string;
  offset?: number;
  write: boolean;
  signal?: AbortSignal;
}

/** Whose limits. The name is empty with `rng`. */
export interface ThrottleTarget {
  kind: ThrottleKind;
  name: string;
}

/** Port to whatever runs machines on this host: the native core, or the fake. All calls are idempotent. */
export abstract class Hypervisor {
  protected readonly listeners = new Set<(event: HostEvent) => void>();

  /** Adopts every live worker found, and takes over what dead ones have left; to be called once before anything else. */
  abstract adopt(): Promise<void>;
  abstract report(): Promise<HostReport>;
  /** Fails with a `host.kvm_*` code when machines cannot run here. */
  abstract create(spec: HypervisorSpec): Promise<{ pid?: number }>;
  abstract boot(id: string): Promise<void>;
  abstract powerButton(id: string): Promise<void>;
  abstract pause(id: string): Promise<void>;
  abstract resume(id: string): Promise<void>;
  /** Plugs the cable of an interface of a live machine in, or pulls it out. */
  abstract setLink(id: string, name: string, link: LinkState): Promise<void>;
  /** Asks a guest to tell the network of an interface where it is. */
  abstract announce(id: string, name: string): Promise<void>;
  /** Changes what a device of a live machine, or a group of them, may do. */
  abstract setThrottle(id: string, target: ThrottleTarget, limits: Limits): Promise<void>;
  /** Sets what the guest of a live machine shall give up. */
  abstract setBalloon(id: string, targetMiB: number): Promise<void>;
  /** What it has given up, and how it says it is off. */
  abstract balloon(id: string): Promise<BalloonFacts>;
  /** Asks a guest that runs for all that it does not use, for a few seconds at most, and gives that back to the host. */
  abstract reclaimMemory(id: string): Promise<ReclaimFacts>;
  /** Ends the guest and its worker. What they leave stays until `release`. */
  abstract kill(id: string): Promise<void>;
  /** Everything that is kept of the console of a machine that is listed, live or not, to its last byte; undefined when there is nothing. */
  abstract readConsole(id: string): Promise<ConsoleLog | undefined>;
  /** Removes what is left of a machine that has ended. */
  abstract release(id: string): Promise<void>;
  abstract list(): Promise<MachineObservation[]>;
  /** Looks how large a disk of a live machine is now, and tells its guest. */
  abstract refreshDisk(id: string, disk: string): Promise<void>;
  /** Makes a qcow2 disk of a live machine larger, never smaller, and tells its guest; answers its size. Nobody else may change the image. */
  abstract growDisk(id: string, disk: string, sizeBytes: number): Promise<number>;
  abstract metrics(id: string): Promise<Record<string, number>>;
  /** Opens a console of a live machine: the serial one, or that of a port. Fails with `console.port_not_found`. */
  abstract openConsole(id: string, options: ConsoleAccess): Promise<HostConsole>;
  abstract close(): Promise<void>;

  /** Listens until the signal. */
  watch(listener: (event: HostEvent) => void, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.listeners.add(listener);
    signal.addEventListener('abort', () => this.listeners.delete(listener), { once: true });
  }

  protected tell(event: HostEvent): void {
    for (const listener of this.listeners) listener(event);
  }
}

/** The machine has no console of that name. */
export function portNotFound(port: string | undefined, cause?: unknown): ApiError {
  return new ApiError('console.port_not_found', {
    detail: `The machine has no console "${port ?? ''}".`,
    remedy: 'Name a port of its console device, or hvc0 for its terminal; leave the port out for the serial console.',
    field: 'port',
    ...(cause === undefined ? {} : { cause }),
  });
}
