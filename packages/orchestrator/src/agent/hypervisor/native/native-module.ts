// SPDX-License-Identifier: Apache-2.0
// The part of @flotilla/native that the host agent uses. The package is loaded when the native hypervisor is configured.
import type { ConsoleSettings } from '../../../common/console-ports.js';
import type { CpuOptions, MemoryOptions, NumaNode } from '../../../common/hardware.js';
import type { InterfaceTraffic, LinkState } from '../../../common/interface-traffic.js';
import type { UserNetwork } from '../../../common/user-network.js';
import type { Limits, Throttle, ThrottleKind } from '../../../common/throttle.js';
import type { VolumeFormat } from '../../../common/volume-storage.js';
import type { WatchdogSettings } from '../../../common/watchdog.js';
import type { DiskTuning } from '../../../host-agent/disk-tuning.js';
import type { ByteProgress, HostReport } from '../../../host-agent/host-agent.js';
import type { BackingFile, NamedBacking, SeedFile } from '../../files/file-tools.js';

export interface NativeSpec {
  profile?: 'standard' | 'micro';
  acpi?: boolean;
  cpus: number;
  cpu?: CpuOptions;
  /** Bytes. */
  memory: number;
  memoryOptions?: MemoryOptions & { overcommit?: boolean };
  numa?: (Omit<NumaNode, 'memoryMiB'> & { memory: number })[];
  boot: { kernel: { path: string }; initrd?: { path: string }; commandLine?: string };
  disks: ({
    id: string;
    source: { path: string };
    format: VolumeFormat;
    backing?: { source: { path: string }; format: VolumeFormat; name: string }[];
    readOnly?: boolean;
    serial?: string;
  } & DiskTuning)[];
  interfaces: ({ id: string; tap?: { name: string }; user?: UserNetwork; mac?: string } & InterfaceTraffic)[];
  shares?: { tag: string; source: { path: string }; readOnly?: boolean }[];
  serial?: 'console';
  console?: ConsoleSettings;
  rng?: boolean;
  rngThrottle?: Throttle;
  throttleGroups?: { id: string; limits: Limits }[];
  balloon?: { target: number; deflateOnOom: boolean; freePageReporting: boolean; freePageHinting?: boolean; statisticsInterval: number };
  vsock?: { socket: { path: string }; cid?: number; maxConnections?: number };
  watchdog?: WatchdogSettings;
  onReboot?: 'restart' | 'stop';
  onPanic?: 'stop' | 'restart' | 'pause';
  onTripleFault?: 'stop' | 'restart' | 'pause';
}

export interface NativeBalloon {
  target: number;
  actual: number;
  statistics?: {
    ageMs: number;
    freeMemory?: number;
    availableMemory?: number;
    totalMemory?: number;
    diskCaches?: number;
    swapIn?: number;
    swapOut?: number;
    majorFaults?: number;
    minorFaults?: number;
    hugetlbAllocations?: number;
    hugetlbFailures?: number;
  };
}

export interface NativeReclaim {
  released: number;
  complete: boolean;
}

export interface NativeEvent {
  kind: string;
  state?: string;
  action?: string;
  disk?: string;
  interface?: string;
  share?: string;
  reason?: string;
  registers?: unknown;
  message?: string;
  exitStatus?: number | null;
  signal?: number | null;
}

export interface NativeExit {
  reason?: string;
  registers?: unknown;
  message?: string;
}

export interface NativeWorker {
  id: string;
  pid: number;
  bootId: string;
  alive: boolean;
}

export type NativeThrottleTarget = { kind: 'rng' } | { kind: Exclude<ThrottleKind, 'rng'>; id: string };

export interface NativeMachine {
  readonly id: string;
  readonly pid: number | null;
  readonly consolePath: string;
  boot(): Promise<void>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  powerButton(): Promise<void>;
  setLink(id: string, link: LinkState): Promise<void>;
  announce(id: string): Promise<void>;
  setThrottle(target: NativeThrottleTarget, limits: Limits): Promise<void>;
  /** Bytes. */
  setBalloon(target: number): Promise<void>;
  balloon(): Promise<NativeBalloon>;
  reclaimMemory(): Promise<NativeReclaim>;
  /** Ends machine and worker; the run directory stays. */
  end(): Promise<void>;
  kill(): Promise<void>;
  info(): Promise<{ state: 'configured' | 'running' | 'paused' | 'stopped'; pid?: number | null; exit?: NativeExit | null }>;
  metrics(): Promise<Record<string, number>>;
  /** The size in bytes. */
  refreshDisk(disk: string): Promise<number>;
  /** Makes a qcow2 disk larger. The size in bytes. */
  growDisk(disk: string, sizeBytes: number): Promise<number>;
  events(options?: { signal?: AbortSignal }): AsyncIterable<NativeEvent>;
  close(): Promise<void>;
}

export interface NativeConsole {
  offset: number;
  ringBytes: number;
  data: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void> | void;
  resize(columns: number, rows: number): Promise<void> | void;
  close(): Promise<void> | void;
}

export interface NativeModule {
  Machine: {
    create(options: {
      id: string;
      spec: NativeSpec;
      runtimeDirectory: string;
      isolation?: 'process' | 'in-process';
      workerPath?: string;
      shareRoots?: readonly string[];
    }): Promise<NativeMachine>;
    adopt(options: { id: string; runtimeDirectory: string }): Promise<NativeMachine>;
  };
  openConsole(options: { path: string; port?: string; offset?: number; write?: boolean; signal?: AbortSignal }): Promise<NativeConsole>;
  /** Live or not; undefined when there is nothing. */
  readConsole(options: { id: string; runtimeDirectory: string }): Promise<{ offset: number; bytes: Uint8Array } | undefined>;
  /** What a worker has left; undefined when a signal ended it. */
  readExit(runtimeDirectory: string, id: string): Promise<NativeExit | undefined>;
  listWorkers(runtimeDirectory: string): Promise<NativeWorker[]>;
  /** Ends a worker by its record, without its socket; what it leaves stays. */
  endWorker(runtimeDirectory: string, id: string): Promise<void>;
  removeStale(runtimeDirectory: string, id: string): Promise<void>;
  checkHost(): Promise<HostReport>;
  createTap(options: { name: string; owner?: number; multiQueue?: boolean }): Promise<void>;
  deleteTap(name: string): Promise<void>;
  copyFile(options: {
    source: string;
    target: string;
    sizeBytes?: number;
    onProgress?: (progress: ByteProgress) => void;
    signal?: AbortSignal;
  }): Promise<unknown>;
  fillDevice(options: {
    device: string;
    image?: string;
    used: boolean;
    fromBytes?: number;
    onProgress?: (progress: ByteProgress) => void;
    signal?: AbortSignal;
  }): Promise<void>;
  createQcow2(options: { target: string; sizeBytes: number; backing?: NamedBacking }): Promise<void>;
  createSeedDisk(options: { target: string; files: readonly SeedFile[] }): Promise<void>;
  /** The size in bytes. */
  growQcow2(options: { path: string; sizeBytes: number; backing?: BackingFile[] }): Promise<number>;
  hashFile(options: { path: string; onProgress?: (progress: ByteProgress) => void; signal?: AbortSignal }): Promise<string>;
}
