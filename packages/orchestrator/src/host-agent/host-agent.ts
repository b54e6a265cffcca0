// SPDX-License-Identifier: Apache-2.0
import type { Limits, ThrottleKind, Throttling } from '../common/throttle.js';
import type { BalloonFacts, BalloonSettings, ReclaimFacts } from '../common/balloon.js';
import type { CloudInit } from '../common/cloud-init.js';
import type { ConsoleSettings, TerminalSize } from '../common/console-ports.js';
import type { WatchdogAction, WatchdogSettings } from '../common/watchdog.js';
import type { Hardware } from '../common/hardware.js';
import type { InterfaceTraffic, LinkState } from '../common/interface-traffic.js';
import type { VolumeStorage } from '../common/volume-storage.js';
import type { Readable } from 'node:stream';
import type { ErrorCode } from '../common/error-codes.js';
import type { SharedFolder } from '../common/shared-folder.js';
import type { Macvtap } from '../common/macvtap.js';
import type { UserNetwork } from '../common/user-network.js';
import type { PoolRef } from '../common/pool.js';
import type { DiskTuning } from './disk-tuning.js';
import type { DownloadImageCommand, ImageFacts, ImportImageCommand, UploadImageCommand } from './image-commands.js';
import type { EnsureBridgeCommand, EnsureNetworkCommand, HostLease, PortCommand } from './network-commands.js';
import type { LeavePoolCommand, PoolFacts, PoolUsage, PoolUsageCommand } from './pool-facts.js';
import type { EnsureVolumeCommand, GrowVolumeCommand, RemoveVolumeCommand, VolumeFacts } from './volume-commands.js';

export type { DownloadImageCommand, ImageFacts, ImportImageCommand, UploadImageCommand } from './image-commands.js';
export type { EnsureBridgeCommand, EnsureNetworkCommand, HostLease, PortCommand, Reservation } from './network-commands.js';
export type { LeavePoolCommand, PoolFacts, PoolUsage, PoolUsageCommand } from './pool-facts.js';
export type {
  EnsureVolumeCommand,
  GrowVolumeCommand,
  RemoveVolumeCommand,
  VolumeFacts,
  VolumeHolder,
  VolumeOrigin,
} from './volume-commands.js';

// The port between policy (api role) and host (agent role). Every command is idempotent: it names the resource by id and
// carries the generation of the wish behind it, so a command may be sent again after a crash, and an old one is refused.

export interface HostCheckFacts {
  id: string;
  title: string;
  status: 'ok' | 'degraded' | 'missing';
  detail: string;
  meaning: string;
  remedy?: string;
}
export interface HostReport {
  checks: HostCheckFacts[];
  kvm: { kind: 'hardware' | 'software' | 'none'; detail: string };
}
export interface HostDescription {
  name: string;
  cpus: number;
  memoryMiB: number;
  kernel: string;
  bootId: string;
}

export interface LaunchDisk extends DiskTuning, VolumeStorage {
  name: string;
  volumeId: string;
  pool?: PoolRef;
  readOnly: boolean;
  serial?: string;
}
/** An interface on a network of ours. */
export interface LaunchInterface extends InterfaceTraffic {
  name: string;
  networkId: string;
  bridge: string;
  mac: string;
  ip: string;
}
/** An interface with user-mode networking. */
export interface LaunchUserInterface extends InterfaceTraffic {
  name: string;
  mac: string;
  user: UserNetwork;
}
/** An interface on a link of the host. */
export interface LaunchMacvtap extends InterfaceTraffic {
  name: string;
  mac: string;
  macvtap: Macvtap;
}
export type LaunchLink = LaunchInterface | LaunchUserInterface | LaunchMacvtap;
/** Sockets between guest and host. */
export interface LaunchVsock {
  cid: number;
  maxConnections: number;
}
/** What cloud-init is told, and the name it gives the guest. */
export interface LaunchCloudInit extends CloudInit {
  hostname: string;
}
/** A machine with all references resolved, as the host needs it. */
export interface LaunchCommand extends Hardware, Throttling {
  id: string;
  generation: number;
  profile: 'standard' | 'micro';
  acpi: boolean;
  cpus: number;
  memoryMiB: number;
  /** Whether that may be more than the host has. */
  memoryOvercommit: boolean;
  kernelImageId: string;
  initrdImageId?: string;
  commandLine?: string;
  disks: LaunchDisk[];
  interfaces: LaunchLink[];
  shares?: SharedFolder[];
  rng: boolean;
  vsock?: LaunchVsock;
  balloon?: BalloonSettings;
  console?: ConsoleSettings;
  watchdog?: WatchdogSettings;
  cloudInit?: LaunchCloudInit;
  isolation: 'process' | 'in-process';
  onReboot: 'restart' | 'stop';
  onCrash: 'stop' | 'restart' | 'pause';
}
export interface MachineCommand {
  id: string;
  generation: number;
}

/** The cable of an interface, by its name. */
export interface SetLinkCommand extends MachineCommand {
  name: string;
  link: LinkState;
}

/** All limits of a device, by its name, or of a group. */
export interface SetThrottleCommand extends MachineCommand {
  kind: ThrottleKind;
  /** Empty with `rng`. */
  name: string;
  limits: Limits;
}

/** What a guest shall give up of its memory. */
export interface SetBalloonCommand extends MachineCommand {
  targetMiB: number;
}

/** Why a machine on the host ended. */
export type ExitReason = 'powered-off' | 'reset' | 'panic' | 'triple-fault' | 'watchdog' | 'killed' | 'error' | 'worker-exited';
export interface MachineExitFacts {
  reason: ExitReason;
  detail: string;
  registers?: Record<string, string>;
}
/** What the host sees of a machine. */
export interface MachineObservation {
  id: string;
  /** `unreached`: its worker lives and cannot be asked; it runs or is paused. */
  state: 'configured' | 'running' | 'paused' | 'stopped' | 'unreached';
  pid?: number;
  exit?: MachineExitFacts;
}

/**
 * What befell a guest that may run on: it did not reset its watchdog in time; it waits for room on the host for one of its disks; the
 * network behind an interface, or what serves a shared folder, is gone for good.
 */
export type MachineAlarm = { kind: 'watchdog'; action: WatchdogAction } | { kind: 'disk-full' | 'link-lost' | 'share-lost'; name: string };

/**
 * Something happened on the host without having been asked for. `leases`: look at them; `lost` = events were dropped: look at everything.
 */
export type HostEvent =
  | { kind: 'machine'; machine: MachineObservation }
  | { kind: 'alarm'; id: string; alarm: MachineAlarm }
  | { kind: 'leases' }
  | { kind: 'lost' };

/** Takes hold of what the host keeps, in the name of a database. */
export interface ClaimCommand {
  /** Id of the installation: that of its database. */
  installation: string;
  /** The database has neither images nor volumes. */
  knowsNothing: boolean;
  /** Takes over what belongs to another installation. */
  adopt: boolean;
}

/** Ids that are owned; what is on the host and not in here is removed, whole images and volumes are set aside. */
export interface Ownership {
  /** Whose ids these are; refused unless the host was claimed for it. */
  installation: string;
  /** From `beginCollect`, taken before the ids were read: what was made since is left alone. */
  epoch: number;
  machines: string[];
  volumes: string[];
  images: string[];
  networks: string[];
  /** Pools to look into, beside the one that every installation has. */
  pools: PoolRef[];
}
export interface CollectReport {
  removed: string[];
  /** Images and volumes that no resource owns, where they are now. */
  setAside: string[];
}

export interface ByteProgress {
  bytes: number;
  /** Absent where a server does not say. */
  totalBytes?: number;
}
/** How a long command reports and is given up. */
export interface CommandControl {
  signal?: AbortSignal;
  onProgress?: (progress: ByteProgress) => void;
}

export interface ConsoleLog {
  offset: number;
  bytes: Uint8Array;
}
/** An attached console. `data` ends when the machine does. */
export interface HostConsole {
  /** Offset of the first byte that will come. */
  offset: number;
  writer: boolean;
  ringBytes: number;
  data: AsyncIterable<Uint8Array>;
  write(bytes: Uint8Array): Promise<void>;
  /** Tells the guest how large the terminal of the writer is; nothing on the serial console. */
  resize(size: TerminalSize): Promise<void>;
  close(): Promise<void>;
}
export interface OpenConsoleCommand {
  id: string;
  /** Of the console device; absent: the serial console. */
  port?: string;
  offset?: number;
  write: boolean;
}
/** Why a console cannot be attached; travels as the code of the error. */
export const CONSOLE_WRITER_TAKEN: ErrorCode = 'console.writer_taken';

/** Commands that take a JSON value and answer one; the transports carry exactly these. */
export interface HostCommands {
  /** Fails with `host.data_foreign` when what the host keeps belongs to another installation. */
  claim(command: ClaimCommand): Promise<void>;
  describe(): Promise<HostDescription>;
  report(): Promise<HostReport>;
  /** Makes the place of a pool; done when it is there. Undone by `removePool`. */
  makePool(pool: PoolRef): Promise<void>;
  /** Brings a pool that was made to where volumes can be used; fails with `pool.unavailable` while it is not there. */
  openPool(pool: PoolRef): Promise<PoolFacts>;
  /** Lets go of a pool that no machine uses. */
  closePool(command: LeavePoolCommand): Promise<void>;
  /** Removes the place of a pool, and nothing that is not ours; fails with `pool.not_empty` while there are volumes. */
  removePool(command: LeavePoolCommand): Promise<void>;
  poolUsage(command: PoolUsageCommand): Promise<PoolUsage>;
  importImage(command: ImportImageCommand, control: CommandControl): Promise<ImageFacts>;
  downloadImage(command: DownloadImageCommand, control: CommandControl): Promise<ImageFacts>;
  removeImage(command: { id: string }): Promise<void>;
  ensureVolume(command: EnsureVolumeCommand, control: CommandControl): Promise<VolumeFacts>;
  /** Makes a volume larger, and tells the guest of its holder if it lives. Never smaller: done when it is as large or larger. */
  growVolume(command: GrowVolumeCommand): Promise<VolumeFacts>;
  removeVolume(command: RemoveVolumeCommand): Promise<void>;
  /** Subnets in use on the host, as CIDR texts. */
  usedSubnets(): Promise<string[]>;
  ensureNetwork(command: EnsureNetworkCommand | EnsureBridgeCommand): Promise<void>;
  removeNetwork(command: { id: string }): Promise<void>;
  /** Fails with `forward.port_busy` when a program of the host listens there, as far as that can be seen. */
  requireFreePort(command: PortCommand): Promise<void>;
  /** Addresses that guests have taken. */
  listLeases(): Promise<HostLease[]>;
  /** Makes the links a machine needs. */
  prepareMachine(command: LaunchCommand): Promise<void>;
  /** Starts the worker and configures it; adopts one that is there. */
  createMachine(command: LaunchCommand): Promise<{ pid?: number }>;
  bootMachine(command: MachineCommand): Promise<void>;
  pressPowerButton(command: MachineCommand): Promise<void>;
  pauseMachine(command: MachineCommand): Promise<void>;
  resumeMachine(command: MachineCommand): Promise<void>;
  /** Plugs a cable in, or pulls it out; done when it is so. */
  setLink(command: SetLinkCommand): Promise<void>;
  /** Asks a guest to tell the network of an interface where it is; done when it is asked. */
  announce(command: { id: string; name: string }): Promise<void>;
  /** Changes what something may do; done when it holds. */
  setThrottle(command: SetThrottleCommand): Promise<void>;
  /** Tells the guest what it shall give up; done when it is told. */
  setBalloon(command: SetBalloonCommand): Promise<void>;
  /** Ends the guest and its worker; done when there is none. */
  killMachine(command: MachineCommand): Promise<void>;
  /** Removes links and everything of the run directory. */
  releaseMachine(command: MachineCommand): Promise<void>;
  /** Removes what outlives a stop: the console log. */
  forgetMachine(command: { id: string }): Promise<void>;
  /** Everything that runs, after adopting what was found. */
  listMachines(): Promise<MachineObservation[]>;
  machineMetrics(command: { id: string }): Promise<Record<string, number>>;
  machineBalloon(command: { id: string }): Promise<BalloonFacts>;
  /** Asks a guest that runs for all that it does not use, for a few seconds at most, and gives that back to the host. */
  reclaimMemory(command: { id: string }): Promise<ReclaimFacts>;
  /** Begins a collection; answers its number. */
  beginCollect(): Promise<{ epoch: number }>;
  collectGarbage(owned: Ownership): Promise<CollectReport>;
}

/** A host as the api role sees it. */
export abstract class HostAgent implements HostCommands {
  abstract claim(command: ClaimCommand): Promise<void>;
  abstract describe(): Promise<HostDescription>;
  abstract report(): Promise<HostReport>;
  abstract makePool(pool: PoolRef): Promise<void>;
  abstract openPool(pool: PoolRef): Promise<PoolFacts>;
  abstract closePool(command: LeavePoolCommand): Promise<void>;
  abstract removePool(command: LeavePoolCommand): Promise<void>;
  abstract poolUsage(command: PoolUsageCommand): Promise<PoolUsage>;
  abstract importImage(command: ImportImageCommand, control: CommandControl): Promise<ImageFacts>;
  abstract downloadImage(command: DownloadImageCommand, control: CommandControl): Promise<ImageFacts>;
  abstract uploadImage(command: UploadImageCommand, content: Readable, control: CommandControl): Promise<ImageFacts>;
  abstract removeImage(command: { id: string }): Promise<void>;
  abstract ensureVolume(command: EnsureVolumeCommand, control: CommandControl): Promise<VolumeFacts>;
  abstract growVolume(command: GrowVolumeCommand): Promise<VolumeFacts>;
  abstract removeVolume(command: RemoveVolumeCommand): Promise<void>;
  abstract usedSubnets(): Promise<string[]>;
  abstract ensureNetwork(command: EnsureNetworkCommand | EnsureBridgeCommand): Promise<void>;
  abstract removeNetwork(command: { id: string }): Promise<void>;
  abstract requireFreePort(command: PortCommand): Promise<void>;
  abstract listLeases(): Promise<HostLease[]>;
  abstract prepareMachine(command: LaunchCommand): Promise<void>;
  abstract createMachine(command: LaunchCommand): Promise<{ pid?: number }>;
  abstract bootMachine(command: MachineCommand): Promise<void>;
  abstract pressPowerButton(command: MachineCommand): Promise<void>;
  abstract pauseMachine(command: MachineCommand): Promise<void>;
  abstract resumeMachine(command: MachineCommand): Promise<void>;
  abstract setLink(command: SetLinkCommand): Promise<void>;
  abstract announce(command: { id: string; name: string }): Promise<void>;
  abstract setThrottle(command: SetThrottleCommand): Promise<void>;
  abstract setBalloon(command: SetBalloonCommand): Promise<void>;
  abstract killMachine(command: MachineCommand): Promise<void>;
  abstract releaseMachine(command: MachineCommand): Promise<void>;
  abstract forgetMachine(command: { id: string }): Promise<void>;
  abstract listMachines(): Promise<MachineObservation[]>;
  abstract machineMetrics(command: { id: string }): Promise<Record<string, number>>;
  abstract machineBalloon(command: { id: string }): Promise<BalloonFacts>;
  abstract reclaimMemory(command: { id: string }): Promise<ReclaimFacts>;
  abstract beginCollect(): Promise<{ epoch: number }>;
  abstract collectGarbage(owned: Ownership): Promise<CollectReport>;
  /** What the console has shown, also of a machine that is stopped. */
  abstract readConsole(command: { id: string; offset?: number; tailBytes?: number }): Promise<ConsoleLog>;
  abstract openConsole(command: OpenConsoleCommand, signal?: AbortSignal): Promise<HostConsole>;
  /** Listens until the signal; the listener must not throw. */
  abstract watch(listener: (event: HostEvent) => void, signal: AbortSignal): void;
  /** Lets go of everything; machines go on. */
  abstract close(): Promise<void>;
}
