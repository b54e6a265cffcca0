// SPDX-License-Identifier: Apache-2.0
import { BoolField, EnumField, IntField, ListField, NameField, ObjectField, StringField } from '../../../common/dto/fields.js';
import { INTERFACE_BACKENDS, LINK_STATES, type LinkState, MAX_INTERFACE_QUEUES, MTU_RANGE } from '../../../common/interface-traffic.js';
import { MAC_PATTERN } from '../../../common/names.js';
import { MAX_CPUS, MAX_NUMA_NODES } from '../../../common/hardware.js';
import {
  BLOCK_SIZES,
  DISK_ATTACHMENTS,
  DISK_CACHES,
  DISK_ENGINES,
  type DiskTuning,
  MAX_DISK_QUEUES,
  SPACE_POLICIES,
} from '../../../host-agent/disk-tuning.js';
import { CLONE_KINDS, type CloneKind, MAX_DISK_MIB } from '../../../common/volume-storage.js';
import { CRASH_ACTIONS, ISOLATIONS, PROFILES, REBOOT_ACTIONS, RESTART_MODES } from '../machine.js';
import { MAX_THROTTLE_GROUPS } from '../../../common/throttle.js';
import { ThrottleDto, ThrottleGroupDto } from './throttle.dto.js';
import { BalloonSpecDto } from './balloon.dto.js';
import { ConsoleSpecDto } from './console.dto.js';
import { CloudInitDto } from './cloud-init.dto.js';
import { WatchdogSpecDto } from './watchdog.dto.js';
import { MAX_SHARES } from '../../../common/shared-folder.js';
import { ShareDto } from './share.dto.js';
import { MacvtapDto } from './macvtap.dto.js';
import { UserNetworkDto } from './user-network.dto.js';
import { CpuOptionsDto, MemoryOptionsDto, NumaNodeDto } from './hardware.dto.js';

/** Highest memory size that is worth reading as a number: 64 TiB. */
const MEMORY_LIMIT_MIB = 64 * 1024 * 1024;

/** Disks of a machine at most. */
export const MAX_DISKS = 16;

/** Kernel, initrd and command line. */
export class BootDto {
  @StringField({ description: 'Image of kind `kernel`: id or name.', minLength: 1, maxLength: 128 }) kernel: string;
  @StringField({ description: 'Image of kind `initrd`: id or name.', minLength: 1, maxLength: 128, optional: true }) initrd?: string;
  @StringField({
    description: 'Kernel command line, at most 2047 printable ASCII characters.',
    optional: true,
    maxLength: 2047,
    pattern: /^[\x20-\x7e]*$/,
    code: 'spec.command_line_invalid',
    remedy: 'Use at most 2047 printable ASCII characters.',
  })
  commandLine?: string;
}

/** A disk: made from an image, empty with a size, or an existing volume. */
export class DiskDto {
  @NameField({ description: 'Name of the disk within the machine.' }) name: string;
  @StringField({
    description: 'Image of kind `disk` (id or name) that a volume of its own is made from.',
    optional: true,
    minLength: 1,
    maxLength: 128,
  })
  image?: string;
  @EnumField({
    description:
      'How the volume is made from the image. `full`: a copy. `linked`: at once and without space; it holds only what the guest ' +
      'writes. `shared`: it is the image, which every machine that has it may only read (`readOnly`). An image cannot be deleted ' +
      'before what is linked to it or shares it.',
    optional: true,
    values: CLONE_KINDS,
    default: 'full',
  })
  clone?: CloneKind;
  @StringField({
    description: 'Storage pool (id or name) that the volume is made in. Shared disks are in the pool `default`, where images are.',
    optional: true,
    minLength: 1,
    maxLength: 128,
    default: 'default',
  })
  pool?: string;
  @StringField({
    description: 'Existing volume (id or name) to use instead; no other machine may hold it. It stays when the machine is deleted.',
    optional: true,
    minLength: 1,
    maxLength: 128,
  })
  volume?: string;
  @IntField({
    description: 'Size of the volume in MiB. Never smaller than the image.',
    optional: true,
    min: 1,
    max: MAX_DISK_MIB,
    code: 'spec.disk_invalid',
  })
  sizeMiB?: number;
  @BoolField({ description: 'Whether the guest may only read it.', optional: true, default: false }) readOnly?: boolean;
  @EnumField({
    description:
      'What the guest finds it as. `pmem`: memory (virtio-pmem), which machines with a shared disk have once; there are no ' +
      'requests that what follows could apply to. Not for linked clones. One that the guest may write has an even sizeMiB.',
    optional: true,
    values: DISK_ATTACHMENTS,
    default: 'block',
  })
  attach?: NonNullable<DiskTuning['attach']>;
  @StringField({
    description: 'Serial number the guest sees.',
    optional: true,
    minLength: 1,
    maxLength: 20,
    pattern: /^[A-Za-z0-9._-]+$/,
    code: 'spec.disk_invalid',
  })
  serial?: string;
  @IntField({
    description: 'Queues that the guest can use at the same time, each with a thread. Absent: one for each CPU, at most 16.',
    optional: true,
    min: 1,
    max: MAX_DISK_QUEUES,
    code: 'spec.disk_invalid',
  })
  queues?: number;
  @EnumField({
    description:
      'What becomes of writes before the guest flushes. `writeback`: in the cache of the host. `none`: past that cache. ' +
      '`writethrough`: each is durable when it ends.',
    optional: true,
    values: DISK_CACHES,
    default: 'writeback',
  })
  cache?: NonNullable<DiskTuning['cache']>;
  @EnumField({
    description: 'How the host reads and writes. `auto`: system calls for what is in memory, else io_uring where the host allows it.',
    optional: true,
    values: DISK_ENGINES,
    default: 'auto',
  })
  engine?: NonNullable<DiskTuning['engine']>;
  @IntField({
    description: 'Bytes of a block as the guest sees it: 512 or 4096. Absent: the smallest that works.',
    optional: true,
    values: BLOCK_SIZES,
    code: 'spec.disk_invalid',
  })
  blockSize?: NonNullable<DiskTuning['blockSize']>;
  @EnumField({
    description:
      'What follows when the host has no space for a write. `report`: the guest is told. `pause`: the machine is paused, and the ' +
      'write is tried again when it is resumed.',
    optional: true,
    values: SPACE_POLICIES,
    default: 'report',
  })
  onNoSpace?: NonNullable<DiskTuning['onNoSpace']>;
  @ObjectField(() => ThrottleDto, {
    description: 'Limits of its requests and of the bytes that they read, write or make zero. Default: none.',
    optional: true,
  })
  throttle?: ThrottleDto;
}

/** A network interface. */
export class InterfaceDto {
  @NameField({ description: 'Name of the interface within the machine.' }) name: string;
  @StringField({
    description: 'Network: id or name. Absent with `user` and `macvtap`.',
    default: 'default',
    optional: true,
    minLength: 1,
    maxLength: 128,
  })
  network?: string;
  @StringField({
    description:
      'IPv4 address that its network keeps for it and DHCP gives it: any of the subnet but the gateway, also outside of the range of others. ' +
      'Absent: the lowest that is free. Not with `user`, `macvtap` and networks of the kind `bridge`.',
    optional: true,
    maxLength: 15,
    pattern: /^\d{1,3}(\.\d{1,3}){3}$/,
    code: 'network.address_invalid',
    remedy: 'Give an IPv4 address of the network.',
  })
  address?: string;
  @ObjectField(() => UserNetworkDto, {
    description:
      'User-mode networking in place of a network: a passt process speaks for the guest with sockets of the host, and needs no privilege. ' +
      'The guest reaches what the host reaches, but not its loopback. For administrators only.',
    optional: true,
  })
  user?: UserNetworkDto;
  @ObjectField(() => MacvtapDto, {
    description:
      'A link of the host in place of a network (macvtap): the guest is on the network behind that link, as a machine beside the host, and ' +
      'gets its address there. Host and guest do not reach each other by it. For administrators only.',
    optional: true,
  })
  macvtap?: MacvtapDto;
  @StringField({
    description: 'MAC address; made from the id of the machine when absent.',
    optional: true,
    maxLength: 17,
    pattern: MAC_PATTERN,
    code: 'spec.mac_invalid',
    remedy: 'Give six pairs of hexadecimal digits with colons; the lowest bit of the first pair must be 0.',
  })
  mac?: string;
  @EnumField({
    description: 'Who moves the frames: `tap`, the worker; `vhost`, the kernel of the host by vhost-net.',
    optional: true,
    values: INTERFACE_BACKENDS,
    default: 'tap',
  })
  backend?: 'tap' | 'vhost';
  @IntField({
    description: 'Pairs of queues, each with a thread of its own: so many processors can send and receive at once.',
    optional: true,
    min: 1,
    max: MAX_INTERFACE_QUEUES,
    default: 1,
  })
  queues?: number;
  @IntField({ description: 'MTU that the guest is told of. Default: its own.', optional: true, ...MTU_RANGE }) mtu?: number;
  @EnumField({ description: 'Whether the cable is plugged in.', optional: true, values: LINK_STATES, default: 'up' }) link?: LinkState;
  @BoolField({
    description: 'Whether the guest may send from other MAC addresses, or take one. Otherwise such frames are dropped and counted.',
    optional: true,
    default: true,
  })
  allowSpoofedMac?: boolean;
  @ObjectField(() => ThrottleDto, { description: 'Limits of what comes to the guest; not with `vhost`. Default: none.', optional: true })
  receiveThrottle?: ThrottleDto;
  @ObjectField(() => ThrottleDto, { description: 'Limits of what the guest sends; not with `vhost`. Default: none.', optional: true })
  transmitThrottle?: ThrottleDto;
}

/** Sockets between programs of the guest and programs of the host. */
export class VsockDto {
  @IntField({
    description: 'Context id of the guest, 3 to 4294967294. It need not be unique on the host.',
    optional: true,
    min: 3,
    max: 0xffff_fffe,
    default: 3,
  })
  cid?: number;
  @IntField({
    description: 'Most connections and waiting programs together.',
    optional: true,
    min: 1,
    max: 3000,
    default: 1023,
  })
  maxConnections?: number;
}

/** What to do when a machine ends without having been asked to. */
export class RestartPolicyDto {
  @EnumField({
    description: '`on-failure` restarts after a crash, a lost worker and a host reboot; `always` also after a guest power-off.',
    values: RESTART_MODES,
  })
  mode: 'never' | 'on-failure' | 'always';
  @IntField({ description: 'Attempts in a row before it stays failed.', optional: true, min: 0, max: 1_000_000, default: 5 })
  maxRetries?: number;
  @IntField({
    description: 'Seconds before the first attempt; doubled for each further one, at most 300.',
    optional: true,
    min: 1,
    max: 300,
    default: 1,
  })
  backoffSeconds?: number;
}

/** How many CPUs a machine may have. */
export function CpusField(options: { description: string; optional?: boolean }): PropertyDecorator {
  const codes = { low: 'spec.cpus_out_of_range', high: 'spec.cpus_out_of_range' } as const;
  return IntField({ ...options, min: 1, max: MAX_CPUS, codes });
}

/** How much memory a machine may have, in MiB. */
export function MemoryField(options: { description: string; optional?: boolean }): PropertyDecorator {
  const codes = { low: 'spec.memory_too_small', high: 'spec.memory_too_large', step: 'spec.memory_unaligned' } as const;
  return IntField({ ...options, min: 16, max: MEMORY_LIMIT_MIB, multipleOf: 2, codes });
}

/** What a machine is made of. */
export class MachineSpecDto {
  @EnumField({
    description:
      '`standard`: a PC with PCI and ACPI. `micro`: virtio devices on MMIO and neither PCI nor ACPI, for the fastest start; the kernel needs virtio-mmio.',
    optional: true,
    values: PROFILES,
    default: 'standard',
  })
  profile?: 'standard' | 'micro';
  @BoolField({
    description:
      'Whether ACPI tables describe the machine, and it has a power button. Default: true, with the profile `micro` false. Without it `stop` kills the machine.',
    optional: true,
  })
  acpi?: boolean;
  @CpusField({ description: 'Virtual CPUs, 1 to 64.' }) cpus: number;
  @MemoryField({ description: 'Memory in MiB: even, at least 16, at most what the host has unless it allows more.' }) memoryMiB: number;
  @ObjectField(() => CpuOptionsDto, { description: 'What the CPUs are like, and where they run.', optional: true }) cpu?: CpuOptionsDto;
  @ObjectField(() => MemoryOptionsDto, { description: 'What stands behind the memory.', optional: true }) memoryOptions?: MemoryOptionsDto;
  @ListField(() => NumaNodeDto, { description: 'NUMA nodes of the guest; at most 16.', optional: true, max: MAX_NUMA_NODES })
  numa?: NumaNodeDto[];
  @ObjectField(() => BootDto, { description: 'What it boots.' }) boot: BootDto;
  @ListField(() => DiskDto, { description: 'Disks, in the order the guest sees them; at most 16.', optional: true, max: MAX_DISKS })
  disks?: DiskDto[];
  @ListField(() => InterfaceDto, { description: 'Network interfaces; at most 8.', optional: true, max: 8 }) interfaces?: InterfaceDto[];
  @ListField(() => ShareDto, {
    description: 'Folders of the host that the guest mounts (virtio-fs); at most 4. For administrators only.',
    optional: true,
    max: MAX_SHARES,
    code: 'spec.share_invalid',
  })
  shares?: ShareDto[];
  @BoolField({ description: 'Whether the guest gets a random number generator.', optional: true, default: true }) rng?: boolean;
  @ObjectField(() => ThrottleDto, { description: 'Limits of the random number generator. Default: none.', optional: true })
  rngThrottle?: ThrottleDto;
  @ListField(() => ThrottleGroupDto, {
    description: 'Limits that several devices share; at most 32.',
    optional: true,
    max: MAX_THROTTLE_GROUPS,
  })
  throttleGroups?: ThrottleGroupDto[];
  @ObjectField(() => VsockDto, {
    description:
      'Sockets between guest and host (`AF_VSOCK`), at `vsock/<id of the machine>.sock` in the runtime directory of the host. Default: none.',
    optional: true,
  })
  vsock?: VsockDto;
  @ObjectField(() => BalloonSpecDto, {
    description: 'Memory that the guest is asked to give up. Default: none, and no way to ask.',
    optional: true,
  })
  balloon?: BalloonSpecDto;
  @ObjectField(() => ConsoleSpecDto, {
    description: 'A virtio console: a terminal whose size follows its writer, and byte streams between guest and host. Default: none.',
    optional: true,
  })
  console?: ConsoleSpecDto;
  @ObjectField(() => WatchdogSpecDto, {
    description: 'A watchdog for the guest. Only ACPI tells of it. Default: none.',
    optional: true,
  })
  watchdog?: WatchdogSpecDto;
  @ObjectField(() => CloudInitDto, {
    description:
      'What cloud-init in the guest does at its first start. One disk more, the last, holds it: 15 others at most. Default: none.',
    optional: true,
  })
  cloudInit?: CloudInitDto;
  @EnumField({
    description:
      '`process`: a worker process of its own. `in-process`: inside the host agent, without a sandbox; for tests, and for administrators only.',
    optional: true,
    values: ISOLATIONS,
    default: 'process',
  })
  isolation?: 'process' | 'in-process';
  @EnumField({ description: 'What happens when the guest asks for a reboot.', optional: true, values: REBOOT_ACTIONS, default: 'restart' })
  onReboot?: 'restart' | 'stop';
  @EnumField({
    description: 'What happens when the guest kernel panics or triple-faults.',
    optional: true,
    values: CRASH_ACTIONS,
    default: 'stop',
  })
  onCrash?: 'stop' | 'restart' | 'pause';
  @ObjectField(() => RestartPolicyDto, {
    description: 'What happens when the machine ends without having been asked to. Default: on-failure, 5 attempts, 1 s.',
    optional: true,
  })
  restartPolicy?: RestartPolicyDto;
}
