// SPDX-License-Identifier: Apache-2.0
import type { Hardware } from '../../common/hardware.js';
import type { InterfaceTraffic, LinkState } from '../../common/interface-traffic.js';
import type { DiskTuning } from '../../host-agent/disk-tuning.js';
import type { ConsoleLog, HostConsole, HostEvent, HostReport, MachineObservation } from '../../host-agent/host-agent.js';

/** A machine with paths and tap names, ready for a worker. */
export interface HypervisorSpec extends Hardware {
  id: string;
  profile: 'standard' | 'micro';
  acpi: boolean;
  cpus: number;
  memoryMiB: number;
  memoryOvercommit: boolean;
  kernelPath: string;
  initrdPath?: string;
  commandLine?: string;
  disks: ({ name: string; path: string; readOnly: boolean; serial?: string } & DiskTuning)[];
  interfaces: ({ name: string; tap: string; mac: string } & InterfaceTraffic)[];
  rng: boolean;
  vsock?: { cid: number; maxConnections: number };
  isolation: 'process' | 'in-process';
  onReboot: 'restart' | 'stop';
  onCrash: 'stop' | 'restart' | 'pause';
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
  /** Ends the guest and its worker. What they leave stays until `release`. */
  abstract kill(id: string): Promise<void>;
  /** Everything that is kept of the console of a machine that is listed, live or not, to its last byte; undefined when there is nothing. */
  abstract readConsole(id: string): Promise<ConsoleLog | undefined>;
  /** Removes what is left of a machine that has ended. */
  abstract release(id: string): Promise<void>;
  abstract list(): Promise<MachineObservation[]>;
  /** Looks how large a disk of a live machine is now, and tells its guest. */
  abstract refreshDisk(id: string, disk: string): Promise<void>;
  abstract metrics(id: string): Promise<Record<string, number>>;
  /** Opens the console of a live machine. */
  abstract openConsole(id: string, options: { offset?: number; write: boolean; signal?: AbortSignal }): Promise<HostConsole>;
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
