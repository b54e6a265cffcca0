// SPDX-License-Identifier: Apache-2.0
import { LVM_NAME, type LvmPoolConfig, type LvmThinPoolConfig } from '../common/lvm.js';
import {
  type Limits,
  MAX_RATE,
  MAX_THROTTLE_GROUPS,
  type Rate,
  type Throttle,
  THROTTLE_KINDS,
  type ThrottleGroup,
} from '../common/throttle.js';
import { INTERFACE_BACKENDS, LINK_STATES, MAX_INTERFACE_QUEUES, MTU_RANGE } from '../common/interface-traffic.js';
import { ApiError } from '../common/api-error.js';
import { type BalloonSettings, MAX_STATISTICS_SECONDS } from '../common/balloon.js';
import {
  CPU_MODELS,
  type CpuOptions,
  type CpuPinning,
  type CpuTopology,
  FEATURE_PATTERN,
  HOST_NUMBERS,
  MAX_CPUS,
  MAX_FEATURES,
  MAX_NUMA_NODES,
  MEMORY_BACKINGS,
  type MemoryOptions,
  type NumaNode,
  TRANSPARENT_HUGEPAGES,
} from '../common/hardware.js';
import { CLOUD_INIT_TEXT, MAX_SSH_KEYS, SSH_KEY_PATTERN } from '../common/cloud-init.js';
import { type Macvtap, MACVTAP_MODES, PARENT_PATTERN } from '../common/macvtap.js';
import { type ConsolePort, type ConsoleSettings, MAX_CONSOLE_PORTS, PORT_NAME_PATTERN } from '../common/console-ports.js';
import { FORWARD_PROTOCOLS, type Forward, MAX_FORWARDS, PORT_RANGE, type UserNetwork } from '../common/user-network.js';
import { MAX_SHARES, type SharedFolder, TAG_PATTERN } from '../common/shared-folder.js';
import { NFS_MODES, NFS_PATH, NFS_RANGES, NFS_SERVER, NFS_VERSIONS, type NfsOptions, type NfsPoolConfig } from '../common/nfs.js';
import { type DirPoolConfig, MAX_GUARD_PERCENT, POOL_PATH, type PoolRefOf } from '../common/pool.js';
import { MAC_PATTERN, NAME_PATTERN, SHA256_PATTERN } from '../common/names.js';
import { CLONE_KINDS, PREALLOCATIONS, VOLUME_FORMATS } from '../common/volume-storage.js';
import { WATCHDOG_ACTIONS, type WatchdogSettings } from '../common/watchdog.js';
import {
  absolutePath,
  bool,
  byKind,
  type Check,
  either,
  id,
  int,
  ipAddress,
  ipv4,
  list,
  nothing,
  object,
  oneOf,
  optional,
  sourceUrl,
  text,
} from './checks.js';
import { BLOCK_SIZES, DISK_ATTACHMENTS, DISK_CACHES, DISK_ENGINES, MAX_DISK_QUEUES, SPACE_POLICIES } from './disk-tuning.js';
import type {
  ClaimCommand,
  DownloadImageCommand,
  EnsureVolumeCommand,
  GrowVolumeCommand,
  ImportImageCommand,
  LaunchCloudInit,
  LaunchCommand,
  LaunchDisk,
  LaunchInterface,
  LaunchMacvtap,
  LaunchUserInterface,
  LaunchVsock,
  LeavePoolCommand,
  MachineCommand,
  OpenConsoleCommand,
  Ownership,
  PoolUsageCommand,
  RemoveVolumeCommand,
  SetBalloonCommand,
  SetLinkCommand,
  SetThrottleCommand,
  UploadImageCommand,
  VolumeHolder,
  VolumeOrigin,
} from './host-agent.js';
import { bridge, ensureNetwork, requireFreePort } from './network-checks.js';
import type { CommandName } from './protocol.js';

// What the agent takes from the socket. The api role has checked its clients, but may have been taken over: the agent, often
// root, makes paths, links, rules and lines of files from what is in a command, so it looks at every field itself.

const MAX_IDS = 1_000_000;
const MAX_BYTES = 2 ** 56;
const MAX_MEMORY_MIB = 64 * 1024 * 1024;
const LOG_BYTES = 16 * 1024 * 1024;

const name = text(NAME_PATTERN);
const NAME_OR_NOTHING = new RegExp(`^$|${NAME_PATTERN.source}`);
const mac = text(MAC_PATTERN);
const digest = optional(text(SHA256_PATTERN));
const kind = oneOf('kernel', 'initrd', 'disk');
const format = oneOf('elf', 'bzimage', 'raw', 'initrd', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi');
const generation = int(0, Number.MAX_SAFE_INTEGER);
const offset = optional(int(0, Number.MAX_SAFE_INTEGER));
const rate = object<Rate>({ perSecond: int(1, MAX_RATE), burst: optional(int(1, MAX_RATE)) });
const limits = object<Limits>({ bytes: optional(rate), operations: optional(rate) });
const throttle = object<Throttle>({ bytes: optional(rate), operations: optional(rate), group: optional(name) });

const within = ({ min, max }: { min: number; max: number }) => optional(int(min, max));
const anyPool = { id: id('poo'), generation, guardPercent: int(0, MAX_GUARD_PERCENT) };
const pool = byKind({
  dir: object<PoolRefOf<'dir'>>({ ...anyPool, kind: oneOf('dir'), config: object<DirPoolConfig>({ path: text(POOL_PATH) }) }),
  nfs: object<PoolRefOf<'nfs'>>({
    ...anyPool,
    kind: oneOf('nfs'),
    config: object<NfsPoolConfig>({
      server: text(NFS_SERVER),
      path: text(NFS_PATH),
      version: optional(oneOf(...NFS_VERSIONS)),
      options: optional(
        object<NfsOptions>({
          mode: optional(oneOf(...NFS_MODES)),
          timeo: within(NFS_RANGES.timeo),
          retrans: within(NFS_RANGES.retrans),
          nconnect: within(NFS_RANGES.nconnect),
        }),
      ),
    }),
  }),
  'lvm-thin': object<PoolRefOf<'lvm-thin'>>({
    ...anyPool,
    kind: oneOf('lvm-thin'),
    config: object<LvmThinPoolConfig>({ volumeGroup: text(LVM_NAME), thinPool: text(LVM_NAME) }),
  }),
  lvm: object<PoolRefOf<'lvm'>>({ ...anyPool, kind: oneOf('lvm'), config: object<LvmPoolConfig>({ volumeGroup: text(LVM_NAME) }) }),
});
const leavePool = object<LeavePoolCommand>({ pool, force: optional(bool) });
const storage = { format: oneOf(...VOLUME_FORMATS), backingImageId: optional(id('img')) };

const traffic = {
  backend: optional(oneOf(...INTERFACE_BACKENDS)),
  queues: optional(int(1, MAX_INTERFACE_QUEUES)),
  mtu: optional(int(MTU_RANGE.min, MTU_RANGE.max)),
  link: optional(oneOf(...LINK_STATES)),
  allowSpoofedMac: optional(bool),
  receiveThrottle: optional(throttle),
  transmitThrottle: optional(throttle),
};

const port = int(PORT_RANGE.min, PORT_RANGE.max);
const forward = object<Forward>({
  protocol: oneOf(...FORWARD_PROTOCOLS),
  hostAddress: optional(ipAddress),
  hostPort: port,
  guestPort: port,
});
const user = object<UserNetwork>({ forwards: list(MAX_FORWARDS, forward) });
const macvtapLink = object<LaunchMacvtap>({
  name,
  mac,
  macvtap: object<Macvtap>({ parent: text(PARENT_PATTERN), mode: oneOf(...MACVTAP_MODES) }),
  ...traffic,
});
const networkLink = object<LaunchInterface>({ name, networkId: id('net'), bridge, mac, ip: ipv4, ...traffic });
const userLink = object<LaunchUserInterface>({ name, mac, user, ...traffic });

const targetMiB = int(0, MAX_MEMORY_MIB);

const byId = (prefix: 'img' | 'vol' | 'net' | 'mac') => object<{ id: string }>({ id: id(prefix) });
const machine = object<MachineCommand>({ id: id('mac'), generation });
const hostNumbers = list(HOST_NUMBERS, int(0, HOST_NUMBERS - 1));
const features = list(MAX_FEATURES, text(FEATURE_PATTERN));
const cpu = object<CpuOptions>({
  topology: optional(
    object<CpuTopology>({ sockets: optional(int(1, MAX_CPUS)), cores: optional(int(1, MAX_CPUS)), threads: optional(int(1, MAX_CPUS)) }),
  ),
  model: optional(oneOf(...CPU_MODELS)),
  enable: optional(features),
  disable: optional(features),
  nested: optional(bool),
  pin: optional(object<CpuPinning>({ vcpus: optional(list(MAX_CPUS, hostNumbers)), io: optional(hostNumbers) })),
});
const memoryOptions = object<MemoryOptions>({
  backing: optional(oneOf(...MEMORY_BACKINGS)),
  transparentHugepages: optional(oneOf(...TRANSPARENT_HUGEPAGES)),
  prefault: optional(bool),
  lock: optional(bool),
  mergeable: optional(bool),
});
const numaNode = object<NumaNode>({
  cpus: list(MAX_CPUS, int(0, MAX_CPUS - 1)),
  memoryMiB: int(16, MAX_MEMORY_MIB),
  hostNodes: optional(hostNumbers),
  distances: optional(list(MAX_NUMA_NODES, int(10, 254))),
});
const launch = object<LaunchCommand>({
  id: id('mac'),
  generation,
  profile: oneOf('standard', 'micro'),
  acpi: bool,
  cpus: int(1, MAX_CPUS),
  cpu: optional(cpu),
  memoryMiB: int(16, MAX_MEMORY_MIB),
  memoryOvercommit: bool,
  memoryOptions: optional(memoryOptions),
  numa: optional(list(MAX_NUMA_NODES, numaNode)),
  kernelImageId: id('img'),
  initrdImageId: optional(id('img')),
  commandLine: optional(text(/^[\x20-\x7e]{0,2047}$/)),
  disks: list(
    16,
    object<LaunchDisk>({
      name,
      volumeId: id('vol'),
      ...storage,
      pool: optional(pool),
      readOnly: bool,
      serial: optional(text(/^[A-Za-z0-9._-]{1,20}$/)),
      attach: optional(oneOf(...DISK_ATTACHMENTS)),
      queues: optional(int(1, MAX_DISK_QUEUES)),
      cache: optional(oneOf(...DISK_CACHES)),
      engine: optional(oneOf(...DISK_ENGINES)),
      blockSize: optional(oneOf(...BLOCK_SIZES)),
      onNoSpace: optional(oneOf(...SPACE_POLICIES)),
      throttle: optional(throttle),
    }),
  ),
  interfaces: list(8, either('user', userLink, either('macvtap', macvtapLink, networkLink))),
  shares: optional(list(MAX_SHARES, object<SharedFolder>({ tag: text(TAG_PATTERN), path: absolutePath, readOnly: bool }))),
  rng: bool,
  rngThrottle: optional(throttle),
  throttleGroups: optional(list(MAX_THROTTLE_GROUPS, object<ThrottleGroup>({ name, limits }))),
  vsock: optional(object<LaunchVsock>({ cid: int(3, 0xffff_fffe), maxConnections: int(1, 3000) })),
  balloon: optional(
    object<BalloonSettings>({
      targetMiB,
      deflateOnOom: bool,
      freePageReporting: bool,
      freePageHinting: optional(bool),
      statisticsSeconds: int(0, MAX_STATISTICS_SECONDS),
    }),
  ),
  console: optional(object<ConsoleSettings>({ ports: list(MAX_CONSOLE_PORTS, object<ConsolePort>({ name: text(PORT_NAME_PATTERN) })) })),
  watchdog: optional(object<WatchdogSettings>({ action: oneOf(...WATCHDOG_ACTIONS) })),
  cloudInit: optional(
    object<LaunchCloudInit>({
      userData: optional(text(CLOUD_INIT_TEXT)),
      networkConfig: optional(text(CLOUD_INIT_TEXT)),
      sshKeys: list(MAX_SSH_KEYS, text(SSH_KEY_PATTERN)),
      hostname: name,
    }),
  ),
  isolation: oneOf('process', 'in-process'),
  onReboot: oneOf('restart', 'stop'),
  onCrash: oneOf('stop', 'restart', 'pause'),
});

const CALLS: Record<CommandName, Check> = {
  claim: object<ClaimCommand>({ installation: id('ins'), knowsNothing: bool, adopt: bool }),
  describe: nothing,
  report: nothing,
  makePool: pool,
  openPool: pool,
  closePool: leavePool,
  removePool: leavePool,
  poolUsage: object<PoolUsageCommand>({ pool: optional(pool) }),
  usedSubnets: nothing,
  requireFreePort,
  listLeases: nothing,
  listMachines: nothing,
  beginCollect: nothing,
  importImage: object<ImportImageCommand>({ id: id('img'), path: absolutePath, anywhere: bool, kind, format, sha256: digest }),
  downloadImage: object<DownloadImageCommand>({ id: id('img'), url: sourceUrl, inside: bool, kind, format, sha256: digest }),
  removeImage: byId('img'),
  ensureVolume: object<EnsureVolumeCommand>({
    id: id('vol'),
    imageId: optional(id('img')),
    origin: optional(object<VolumeOrigin>({ id: id('vol'), ...storage, pool: optional(pool) })),
    clone: optional(oneOf(...CLONE_KINDS)),
    sizeBytes: optional(int(0, MAX_BYTES)),
    format: optional(oneOf(...VOLUME_FORMATS)),
    preallocate: optional(oneOf(...PREALLOCATIONS)),
    pool: optional(pool),
  }),
  growVolume: object<GrowVolumeCommand>({
    id: id('vol'),
    ...storage,
    sizeBytes: int(1, MAX_BYTES),
    holder: optional(object<VolumeHolder>({ machineId: id('mac'), disk: name })),
    pool: optional(pool),
  }),
  removeVolume: object<RemoveVolumeCommand>({ id: id('vol'), pool: optional(pool) }),
  ensureNetwork,
  removeNetwork: byId('net'),
  prepareMachine: launch,
  createMachine: launch,
  bootMachine: machine,
  pressPowerButton: machine,
  pauseMachine: machine,
  resumeMachine: machine,
  setLink: object<SetLinkCommand>({ id: id('mac'), generation, name, link: oneOf(...LINK_STATES) }),
  announce: object<{ id: string; name: string }>({ id: id('mac'), name }),
  setThrottle: object<SetThrottleCommand>({
    id: id('mac'),
    generation,
    kind: oneOf(...THROTTLE_KINDS),
    name: text(NAME_OR_NOTHING),
    limits,
  }),
  setBalloon: object<SetBalloonCommand>({ id: id('mac'), generation, targetMiB }),
  killMachine: machine,
  releaseMachine: machine,
  forgetMachine: byId('mac'),
  machineMetrics: byId('mac'),
  machineBalloon: byId('mac'),
  reclaimMemory: byId('mac'),
  collectGarbage: object<Ownership>({
    installation: id('ins'),
    epoch: generation,
    machines: list(MAX_IDS, id('mac')),
    volumes: list(MAX_IDS, id('vol')),
    images: list(MAX_IDS, id('img')),
    networks: list(MAX_IDS, id('net')),
    pools: list(MAX_IDS, pool),
  }),
};

const STREAMS = {
  upload: object<UploadImageCommand>({ id: id('img'), kind, format, sha256: digest }),
  'read-console': object<{ id: string; offset?: number; tailBytes?: number }>({
    id: id('mac'),
    offset,
    tailBytes: optional(int(0, LOG_BYTES)),
  }),
  console: object<OpenConsoleCommand>({ id: id('mac'), port: optional(text(PORT_NAME_PATTERN)), offset, write: bool }),
};

/** A command that takes and answers JSON, looked through. */
export function checkCall(call: CommandName, command: unknown): unknown {
  return checked(call, CALLS[call], command);
}

/** A command beside a stream, looked through. */
export function checkStream<T>(kind: keyof typeof STREAMS, command: unknown): T {
  return checked(kind, STREAMS[kind], command) as T;
}

function checked(what: string, check: Check, command: unknown): unknown {
  const wrong = check(command, '');
  if (wrong === undefined) return command;
  // The value is not repeated: it may be anything.
  throw invalidCommand(
    `The host agent refused the command ${what}: ${wrong === '' ? 'its value' : JSON.stringify(wrong.slice(0, 100))} is not what it must be.`,
  );
}

/** A command that no api role of ours would send. */
export function invalidCommand(detail: string): ApiError {
  return new ApiError('host.invalid_command', {
    detail,
    remedy:
      'Run the same version of Flotilla in both roles. If they are the same, look into the api process: somebody else may speak through it.',
  });
}
