// SPDX-License-Identifier: Apache-2.0
// Generated from crates/spec by `npm run gen`. Do not edit.

import type { ErrorCode } from './error-codes.js';

/**
 * What a machine shall be. Unknown fields are refused.
 */
export type MachineSpec = {
/**
 * Number of virtual CPUs, 1 to 64.
 */
cpus: number,
/**
 * What they are like, and where they run. Default: as the host's, anywhere.
 */
cpu?: CpuSpec,
/**
 * Guest memory in bytes: a multiple of 4096, at least 16 MiB, at most what the host has unless
 * `memoryOptions.overcommit` is on.
 */
memory: MemorySize,
/**
 * What stands behind the memory. Default: private pages that are committed when they are used.
 */
memoryOptions?: MemoryOptions,
/**
 * Memory that the guest is asked to give up. Default: none, and no device to ask through.
 */
balloon?: BalloonSpec,
/**
 * NUMA nodes that the guest sees, in the order of their memory, at most 16. Only ACPI tells of them. Default: none.
 */
numa?: Array<NumaNodeSpec>,
/**
 * The kind of machine. Default: standard.
 */
profile?: Profile,
/**
 * Whether ACPI tables describe the machine and it has a power button. Default: true, with the profile `micro` false.
 */
acpi?: boolean,
/**
 * What the machine boots.
 */
boot: BootSpec,
/**
 * Disks in the order the guest sees them, at most 16. Default: none.
 */
disks?: Array<DiskSpec>,
/**
 * Network interfaces in the order the guest sees them, at most 8. Default: none.
 */
interfaces?: Array<InterfaceSpec>,
/**
 * Folders of the host that the guest mounts by their tags, at most 4. Default: none.
 */
shares?: Array<ShareSpec>,
/**
 * Where the first serial port leads. Default: the console of the machine.
 */
serial?: SerialSpec,
/**
 * A console device. Default: none.
 */
console?: ConsoleSpec,
/**
 * Whether the machine has a virtio entropy device. Default: true.
 */
rng?: boolean,
/**
 * Limits of the entropy device. Default: none.
 */
rngThrottle?: ThrottleSpec,
/**
 * Limits that several devices share, at most 32. Default: none.
 */
throttleGroups?: Array<ThrottleGroupSpec>,
/**
 * Sockets between guest and host. Default: none.
 */
vsock?: VsockSpec,
/**
 * A watchdog for the guest. Only ACPI tells of it. Default: none.
 */
watchdog?: WatchdogSpec,
/**
 * What follows when the guest resets the machine. Default: restart.
 */
onReboot?: RebootPolicy,
/**
 * What follows when the guest kernel reports a panic. Default: stop.
 */
onPanic?: CrashPolicy,
/**
 * What follows a triple fault of a virtual CPU. Default: stop.
 */
onTripleFault?: CrashPolicy, };

/**
 * The kind of machine a guest finds.
 */
export type Profile = "standard" | "micro";

/**
 * A size of guest memory in bytes.
 */
export type MemorySize = number;

/**
 * What the CPUs of a machine are like, and where they run.
 */
export type CpuSpec = {
/**
 * Sockets, cores and threads; their product is the number of CPUs. Default: one socket of cores without siblings.
 */
topology?: TopologySpec,
/**
 * What the guest sees of the host's processor. Default: host.
 */
model?: CpuModel,
/**
 * Features beside those of the model, by their names in /proc/cpuinfo. The host must have them. Default: none.
 */
enable?: Array<string>,
/**
 * Features of the model that the guest does not see, with all that need them. Default: none.
 */
disable?: Array<string>,
/**
 * Whether the guest can run virtual machines itself. Its state then cannot be saved. Default: false.
 */
nested?: boolean,
/**
 * On which CPUs of the host the threads of the machine run. Default: on any.
 */
pin?: PinSpec, };

/**
 * How the CPUs of a machine are arranged.
 */
export type TopologySpec = {
/**
 * Number of sockets. Default: 1.
 */
sockets?: number,
/**
 * Cores of each socket. Default: 1.
 */
cores?: number,
/**
 * Threads of each core. Default: 1.
 */
threads?: number, };

/**
 * What a guest sees of the host's processor.
 */
export type CpuModel = "host" | "x86-64-v2" | "x86-64-v3";

/**
 * On which CPUs of the host the threads of a machine run.
 */
export type PinSpec = {
/**
 * For each virtual CPU the host's CPUs it may run on; an empty list means any. Default: any for all.
 */
vcpus?: Array<Array<number>>,
/**
 * The host's CPUs on which the threads of devices may run. Default: any.
 */
io?: Array<number>, };

/**
 * What stands behind the memory of a machine.
 */
export type MemoryOptions = {
/**
 * The kind of memory. Default: anonymous.
 */
backing?: MemoryBacking,
/**
 * Whether the kernel shall make transparent huge pages of it. Not with hugetlb. Default: always.
 */
transparentHugepages?: TransparentHugepages,
/**
 * Whether the host commits all of it before the guest starts. Default: false.
 */
prefault?: boolean,
/**
 * Whether what is committed stays in the host's memory and is never swapped. Default: false.
 */
lock?: boolean,
/**
 * Whether the host may merge equal pages of this and other machines. They can then spy on each other by timing. Default: false.
 */
mergeable?: boolean,
/**
 * Whether the memory may be more than the host has. Default: false.
 */
overcommit?: boolean, };

/**
 * The kind of memory.
 */
export type MemoryBacking = "anonymous" | "memfd" | "hugetlb-2M" | "hugetlb-1G";

/**
 * Whether the kernel shall make transparent huge pages.
 */
export type TransparentHugepages = "default" | "always" | "never";

/**
 * A balloon: memory that the guest is asked to give up for as long as it can do without. It is a wish, no limit: a guest
 * that does not follow keeps its memory. Not with memory that is locked, nor with pages of the host's pool.
 */
export type BalloonSpec = {
/**
 * Bytes that the guest shall give up at first: a multiple of 4096, and all but 16 MiB of the memory at most. Default: 0.
 */
target?: number,
/**
 * Whether the guest may take memory back by itself before it ends programs for want of it. Default: true.
 */
deflateOnOom?: boolean,
/**
 * Whether the guest also gives up memory that nothing in it uses, without being asked. Not with `prefault`. Default: false.
 */
freePageReporting?: boolean,
/**
 * Whether the guest also says, when it is asked, what nothing in it uses, so that the host has it back. Default: false.
 */
freePageHinting?: boolean,
/**
 * Seconds between two times that the guest is asked how it is off for memory, at most 86400. Default: 0, only when somebody
 * wants to know.
 */
statisticsInterval?: number, };

/**
 * A NUMA node of a guest.
 */
export type NumaNodeSpec = {
/**
 * Its CPUs by their numbers, from 0. Each CPU of the machine belongs to one node.
 */
cpus: Array<number>,
/**
 * Its memory in bytes, at least 16 MiB. All nodes together have that of the machine.
 */
memory: MemorySize,
/**
 * The host's nodes that its memory comes from. Default: any.
 */
hostNodes?: Array<number>,
/**
 * The distance to each node, 10 to itself and 11 to 254 to others. Default: 20 to others.
 */
distances?: Array<number>, };

/**
 * What a machine boots.
 */
export type BootSpec = {
/**
 * The kernel: an ELF vmlinux or a bzImage.
 */
kernel: FileSource,
/**
 * The initial RAM disk.
 */
initrd?: FileSource,
/**
 * The kernel command line, at most 4095 bytes. Default: empty.
 */
commandLine?: string,
/**
 * How the kernel is entered. Default: what the file offers.
 */
protocol?: BootProtocol, };

/**
 * How a kernel is entered.
 */
export type BootProtocol = "auto" | "pvh" | "linux";

/**
 * A disk.
 */
export type DiskSpec = {
/**
 * Unique among the disks of the machine.
 */
id: DiskId,
/**
 * The file or block device that holds the content.
 */
source: FileSource,
/**
 * What the guest finds it as. Default: block.
 */
attach?: DiskAttachment,
/**
 * How the content is stored. Never guessed: a guest could write another format's header.
 */
format: DiskFormat,
/**
 * The files that the image is based on, the nearest first; they are only read. The image must name each of them, and
 * none besides. Default: none.
 */
backing?: Array<BackingSpec>,
/**
 * Whether the guest may not write. Default: false.
 */
readOnly?: boolean,
/**
 * What the guest reads as the serial number, 1 to 20 printable ASCII characters. Default: the id, cut to 20.
 */
serial?: string,
/**
 * Queues that the guest can use at the same time, 1 to 16; each is served by a thread of its own. Default: one for
 * each vCPU, at most 16.
 */
queues?: number,
/**
 * What becomes of the guest's writes before it asks for durability. Default: writeback.
 */
cache?: DiskCache,
/**
 * How the host reads and writes. Default: auto.
 */
engine?: DiskEngine,
/**
 * Bytes of a block as the guest sees it: 512 or 4096. Default: 512, or what direct I/O demands with cache none.
 */
blockSize?: number,
/**
 * What follows when the host has no space for what the guest writes. Default: report.
 */
onNoSpace?: SpacePolicy,
/**
 * Limits of its requests and of the bytes that they read, write or make zero. Default: none.
 */
throttle?: ThrottleSpec, };

/**
 * The id of a disk, unique in its machine. Checked by the validation of the specification.
 */
export type DiskId = string;

/**
 * What the guest finds a disk as.
 */
export type DiskAttachment = "block" | "pmem";

/**
 * How the content of a disk is stored.
 */
export type DiskFormat = "raw" | "qcow2";

/**
 * What becomes of the guest's writes before it asks for durability.
 */
export type DiskCache = "none" | "writeback" | "writethrough";

/**
 * How the host reads and writes a disk.
 */
export type DiskEngine = "auto" | "io-uring" | "direct";

/**
 * What follows when the host has no space for what a guest writes.
 */
export type SpacePolicy = "report" | "pause";

/**
 * A file that an image is based on.
 */
export type BackingSpec = {
/**
 * The file or block device.
 */
source: FileSource,
/**
 * How its content is stored.
 */
format: DiskFormat,
/**
 * The name under which the image above records this file; `*` takes any name. Default: the path of the source, of
 * which a relative name need only be the end.
 */
name?: string, };

/**
 * A network interface.
 */
export type InterfaceSpec = {
/**
 * Unique among the interfaces of the machine.
 */
id: InterfaceId,
/**
 * The tap or macvtap interface of the host that carries the frames.
 */
tap?: TapSource,
/**
 * User-mode networking in place of a tap: one of the two must be given.
 */
user?: UserNetworkSpec,
/**
 * The MAC address that the guest sees. Default: chosen by the guest's driver.
 */
mac?: MacAddress,
/**
 * Who moves the frames. Default: the worker itself.
 */
backend?: InterfaceBackend,
/**
 * Pairs of queues, 1 to 16, each with a thread of its own; the tap interface must take as many. User-mode networking has
 * one. Default: 1.
 */
queues?: number,
/**
 * The MTU that the guest is told of, 68 to 65535. Default: none, the guest's own.
 */
mtu?: number,
/**
 * Whether the cable is plugged in at first. Default: up.
 */
link?: LinkState,
/**
 * Whether the guest may send from other MAC addresses than its own, or take another one. Such frames are dropped and
 * counted otherwise. Must be true with vhost. Default: true.
 */
allowSpoofedMac?: boolean,
/**
 * Limits of what comes to the guest; not with vhost. Default: none.
 */
receiveThrottle?: ThrottleSpec,
/**
 * Limits of what the guest sends; not with vhost. Default: none.
 */
transmitThrottle?: ThrottleSpec, };

/**
 * Who moves the frames of an interface.
 */
export type InterfaceBackend = "tap" | "vhost";

/**
 * The network of an interface without a tap: a passt process, which needs no privilege. The guest gets the address of the
 * host by DHCP, reaches what the host reaches, but not the host's loopback; nobody reaches it but by the forwards.
 */
export type UserNetworkSpec = {
/**
 * Ports of the host that lead into the guest. Default: none.
 */
forwards?: Array<ForwardSpec>,
/**
 * Index into the descriptors passed along: a UNIX stream socket whose other end the process has. Only the control protocol
 * of the worker uses it.
 */
descriptor?: number, };

/**
 * A port of the host that leads into the guest.
 */
export type ForwardSpec = {
/**
 * What is forwarded.
 */
protocol: ForwardProtocol,
/**
 * The address of the host to listen at, IPv4 or IPv6. Default: 127.0.0.1, which nobody else reaches.
 */
hostAddress?: string,
/**
 * The port of the host, 1 to 65535. One machine forwards each port of a protocol once.
 */
hostPort: number,
/**
 * The port of the guest, 1 to 65535.
 */
guestPort: number, };

/**
 * What is forwarded.
 */
export type ForwardProtocol = "tcp" | "udp";

/**
 * Whether the cable of an interface is plugged in.
 */
export type LinkState = "up" | "down";

/**
 * The id of a network interface, unique in its machine. Checked by the validation of the specification.
 */
export type InterfaceId = string;

/**
 * A MAC address, written as six hexadecimal pairs (`52:54:00:12:34:56`).
 */
export type MacAddress = string;

/**
 * A folder of the host that the guest mounts (`mount -t virtiofs TAG PLACE`). A process of its own, virtiofsd, serves it, and
 * the memory of such a machine is one that it can share.
 */
export type ShareSpec = {
/**
 * What the guest mounts it by, unique among the shares of the machine, at most 36 characters.
 */
tag: ShareTag,
/**
 * The folder. As a descriptor it is a UNIX stream socket whose other end virtiofsd has.
 */
source: FileSource,
/**
 * Whether the guest may not write. Default: false.
 */
readOnly?: boolean, };

/**
 * The tag of a shared folder, unique in its machine. Checked by the validation of the specification.
 */
export type ShareTag = string;

/**
 * Where a file comes from.
 */
export type FileSource = { "path": string } | { "descriptor": number };

/**
 * Where a tap interface comes from.
 */
export type TapSource = { "name": string } | { "descriptor": number };

/**
 * Where a serial port leads.
 */
export type SerialSpec = "console" | "stdio" | "null" | { "file": FileSource };

/**
 * A virtio console device: a terminal, `hvc0` in Linux, whose size follows that of its writer, and byte streams.
 */
export type ConsoleSpec = {
/**
 * Byte streams between a program of the guest and one of the host at a time, at most 15. Default: none.
 */
ports?: Array<ConsolePortSpec>, };

/**
 * A byte stream.
 */
export type ConsolePortSpec = {
/**
 * Its name, `/dev/virtio-ports/NAME` in a Linux guest with udev: 1 to 64 letters, digits, '.', '_' or '-', the first a letter
 * or digit; unique in the machine, and not `hvc0`.
 */
name: string, };

/**
 * Sockets between programs of the guest (`AF_VSOCK`) and programs of the host (UNIX sockets).
 */
export type VsockSpec = {
/**
 * The listening UNIX socket for programs of the host. A path is made anew, at most 107 bytes long.
 */
socket: FileSource,
/**
 * The context id of the guest, 3 to 4294967294. Default: 3.
 */
cid?: number,
/**
 * The most connections and waiting programs together, 1 to 3000. Default: 1023.
 */
maxConnections?: number, };

/**
 * The limits of a device: its own, or those of a group that it shares with others.
 */
export type ThrottleSpec = {
/**
 * Bytes. Default: no limit.
 */
bytes?: RateSpec,
/**
 * Operations, whatever their size: requests to a disk, frames of an interface. Default: no limit.
 */
operations?: RateSpec,
/**
 * The group of the machine whose limits hold for all its devices together; there are no others then. Default: none.
 */
group?: string, };

/**
 * Limits for several devices together.
 */
export type ThrottleGroupSpec = {
/**
 * Unique among the groups of the machine.
 */
id: string,
/**
 * What all of them may do together.
 */
limits: LimitsSpec, };

/**
 * Limits. What is absent is not limited.
 */
export type LimitsSpec = {
/**
 * Bytes.
 */
bytes?: RateSpec,
/**
 * Operations, whatever their size: requests to a disk, frames of an interface.
 */
operations?: RateSpec, };

/**
 * How much may flow.
 */
export type RateSpec = {
/**
 * Units in a second, 1 to 9007199254740991.
 */
perSecond: number,
/**
 * Units that may come at once after a rest, up to 9007199254740991. One request more may begin while there are some.
 * Default: what flows in a tenth of a second. Less than what flows in a fiftieth counts as that.
 */
burst?: number, };

/**
 * Whose limits are meant: those of a device that has its own, or of a group.
 */
export type ThrottleTarget = { "kind": "disk",
/**
 * Its id.
 */
id: string, } | { "kind": "receive",
/**
 * The id of the interface.
 */
id: string, } | { "kind": "transmit",
/**
 * The id of the interface.
 */
id: string, } | { "kind": "rng" } | { "kind": "group",
/**
 * Its id.
 */
id: string, };

/**
 * A watchdog that the guest starts, and from then on has to reset again and again. Only an ACPI table tells of it.
 */
export type WatchdogSpec = {
/**
 * What follows when the guest does not reset it in time. Default: reset.
 */
action?: WatchdogAction, };

/**
 * What follows when a guest does not reset its watchdog in time.
 */
export type WatchdogAction = "reset" | "poweroff" | "pause" | "report";

/**
 * What follows a guest reset.
 */
export type RebootPolicy = "restart" | "stop";

/**
 * What follows a guest crash.
 */
export type CrashPolicy = "stop" | "restart" | "pause";

/**
 * The id of a machine: unique on its host, usable as a file name. Always valid.
 */
export type MachineId = string;

/**
 * One fault of a specification, with the place it is at and what to do about it.
 */
export type Violation = {
/**
 * What kind of fault it is.
 */
code: ErrorCode,
/**
 * The JSON path of the value at fault, such as `$.disks[0].source`; `$` is the whole specification.
 */
path: string,
/**
 * What is wrong, for a person.
 */
message: string,
/**
 * What to do about it.
 */
remedy: string, };
