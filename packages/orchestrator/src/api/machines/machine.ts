// SPDX-License-Identifier: Apache-2.0
import type { CloudInit } from '../../common/cloud-init.js';
import type { ConsoleSettings } from '../../common/console-ports.js';
import type { Throttling } from '../../common/throttle.js';
import type { BalloonSettings } from '../../common/balloon.js';
import type { InterfaceTraffic } from '../../common/interface-traffic.js';
import type { ErrorCode } from '../../common/error-codes.js';
import type { WatchdogSettings } from '../../common/watchdog.js';
import type { Hardware } from '../../common/hardware.js';
import type { Labels } from '../../common/names.js';
import type { SharedFolder } from '../../common/shared-folder.js';
import type { Macvtap } from '../../common/macvtap.js';
import type { UserNetwork } from '../../common/user-network.js';
import type { CloneKind } from '../../common/volume-storage.js';
import type { DiskTuning } from '../../host-agent/disk-tuning.js';

export const DESIRED_STATES = ['running', 'stopped', 'paused'] as const;
export type DesiredState = (typeof DESIRED_STATES)[number];

export const MACHINE_STATES = [
  'creating',
  'stopped',
  'starting',
  'running',
  'pausing',
  'paused',
  'stopping',
  'failed',
  'deleting',
  'unknown',
] as const;
export type MachineState = (typeof MACHINE_STATES)[number];

export const RESTART_MODES = ['never', 'on-failure', 'always'] as const;
/** `standard`: a PC with PCI and ACPI. `micro`: virtio devices on MMIO, the fastest start. */
export const PROFILES = ['standard', 'micro'] as const;
export const ISOLATIONS = ['process', 'in-process'] as const;
export const REBOOT_ACTIONS = ['restart', 'stop'] as const;
export const CRASH_ACTIONS = ['stop', 'restart', 'pause'] as const;

/** What to do when a machine ends without having been asked to. */
export interface RestartPolicy {
  mode: (typeof RESTART_MODES)[number];
  /** Attempts in a row before it stays failed. */
  maxRetries: number;
  /** Wait before the first attempt; doubled for each further one, at most 300 s. */
  backoffSeconds: number;
}

/** Fills in the defaults of a restart policy. */
export function toPolicy(policy: Partial<RestartPolicy> | undefined): RestartPolicy {
  return { mode: policy?.mode ?? 'on-failure', maxRetries: policy?.maxRetries ?? 5, backoffSeconds: policy?.backoffSeconds ?? 1 };
}

export interface BootSpec {
  kernel: string;
  initrd?: string;
  commandLine?: string;
}
export interface DiskSpec extends DiskTuning {
  name: string;
  image?: string;
  clone?: CloneKind;
  /** Name of the pool that the volume is made in; absent: the one that every installation has. */
  pool?: string;
  volume?: string;
  sizeMiB?: number;
  readOnly: boolean;
  serial?: string;
}
export interface InterfaceSpec extends InterfaceTraffic {
  name: string;
  /** Absent with user-mode networking, and on a link of the host. */
  network?: string;
  /** IPv4 address that it asks for on that network; absent: whichever is free. */
  address?: string;
  user?: UserNetwork;
  /** A link of the host in place of a network. */
  macvtap?: Macvtap;
  mac: string;
}

export interface VsockSpec {
  cid: number;
  maxConnections: number;
}

/** What was asked for; all references are ids, all defaults are filled in. */
export interface MachineSpec extends Hardware, Throttling {
  profile: (typeof PROFILES)[number];
  /** Whether ACPI tables describe the machine; without them it has no power button. */
  acpi: boolean;
  cpus: number;
  memoryMiB: number;
  boot: BootSpec;
  disks: DiskSpec[];
  interfaces: InterfaceSpec[];
  shares?: SharedFolder[];
  rng: boolean;
  vsock?: VsockSpec;
  balloon?: BalloonSettings;
  console?: ConsoleSettings;
  watchdog?: WatchdogSettings;
  cloudInit?: CloudInit;
  isolation: (typeof ISOLATIONS)[number];
  onReboot: (typeof REBOOT_ACTIONS)[number];
  onCrash: (typeof CRASH_ACTIONS)[number];
  restartPolicy: RestartPolicy;
}

/** Why a machine is in the state it is in. */
export interface StateReason {
  code: ErrorCode;
  detail: string;
  remedy: string;
  registers?: Record<string, string>;
}

/** An IPv4 address that the guest has taken by DHCP, and until when. */
export interface AddressLease {
  ip: string;
  expiresAt: string;
  hostname?: string;
}
/** Address of an interface. */
export interface MachineAddress {
  interface: string;
  mac: string;
  /** IPv4 address that its network keeps for it. */
  address?: string;
  /** What the guest has taken, once it has. */
  lease?: AddressLease;
}
export interface MachineDisk {
  name: string;
  volume: string;
}

/** What was last seen of a machine. */
export interface Observed {
  state: MachineState;
  /** The desired generation this state answers. */
  generation: number;
  reason?: StateReason;
  workerPid?: number;
  startedAt?: string;
  /** Restarts made by the restart policy since the machine was created. */
  restarts: number;
  /** Attempts in a row; falls to 0 once the machine has run for a minute. */
  attempt: number;
  /** When the restart policy tries again. */
  nextRestartAt?: string;
  /** Deletes in a row that failed. */
  deleteAttempts?: number;
  /** A delete failed and is tried again then: the machine is on its way out, and may be deleted again before. */
  nextDeleteAt?: string;
  addresses: MachineAddress[];
  disks: MachineDisk[];
}

export interface Machine {
  id: string;
  name: string;
  labels: Labels;
  /** What people write about it; empty unless somebody did. */
  notes: string;
  /** Whether it may not be deleted, not by force either. */
  protected: boolean;
  /** Grows with each change of what was asked for; the ETag. */
  generation: number;
  createdAt: string;
  updatedAt: string;
  spec: MachineSpec;
  desired: { state: DesiredState; generation: number };
  observed: Observed;
}

/** What a client may ask a machine to do. */
export const MACHINE_ACTIONS = ['start', 'stop', 'restart', 'kill', 'pause', 'resume', 'delete'] as const;
export type MachineAction = (typeof MACHINE_ACTIONS)[number];

const ALLOWED: Record<MachineAction, readonly MachineState[]> = {
  start: ['stopped', 'failed'],
  stop: ['running', 'paused', 'unknown'],
  restart: ['running', 'paused', 'unknown'],
  kill: ['starting', 'running', 'pausing', 'paused', 'stopping', 'unknown', 'failed'],
  pause: ['running'],
  resume: ['paused'],
  delete: ['creating', 'stopped', 'failed', 'unknown'],
};

/** Whether an action makes sense for a machine as it is seen. One whose delete failed can only be deleted again. */
export function mayAct(action: MachineAction, observed: Pick<Observed, 'state' | 'nextDeleteAt'>, force = false): boolean {
  return observed.nextDeleteAt === undefined ? actionAllowed(action, observed.state, force) : action === 'delete';
}

/** Whether an action makes sense in a state. A forced delete is allowed in every state but `deleting`. */
export function actionAllowed(action: MachineAction, state: MachineState, force = false): boolean {
  if (action === 'delete' && force) return state !== 'deleting';
  return ALLOWED[action].includes(state);
}

const MAX_BACKOFF_SECONDS = 300;
const DELETE_BACKOFF = { backoffSeconds: 1 };

/** When a delete that has failed so often is tried again: after 1 s, doubled each time, at most 300 s. */
export function nextDelete(attempts: number): string {
  return new Date(Date.now() + backoffMilliseconds(DELETE_BACKOFF, attempts - 1)).toISOString();
}

/** Wait before attempt number `attempt` (0 = the first), in milliseconds. */
export function backoffMilliseconds(policy: Pick<RestartPolicy, 'backoffSeconds'>, attempt: number): number {
  return Math.min(policy.backoffSeconds * 2 ** Math.min(attempt, 20), MAX_BACKOFF_SECONDS) * 1000;
}

/** Whether the policy tries again after an end of that kind. */
export function wantsRestart(policy: RestartPolicy, failed: boolean, attempt: number): boolean {
  if (attempt >= policy.maxRetries) return false;
  return policy.mode === 'always' || (policy.mode === 'on-failure' && failed);
}
