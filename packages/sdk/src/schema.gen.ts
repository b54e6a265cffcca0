// SPDX-License-Identifier: Apache-2.0
// Generated from openapi/flotilla.v1.json by `npm run gen`: do not edit.

export type ClientOptions = {
    baseUrl: 'http://127.0.0.1:7070' | (string & {});
};

export type AddForward = {
    /**
     * What is forwarded.
     */
    protocol: 'tcp' | 'udp';
    /**
     * IPv4 address of the host, not of its loopback. Default: all of them, for whoever reaches the host.
     */
    hostAddress?: string;
    /**
     * Port of the host.
     */
    hostPort: number;
    /**
     * Machine: id or name.
     */
    machine: string;
    /**
     * Interface of the machine on the network. Default: the only one.
     */
    interface?: string;
    /**
     * Port of the guest.
     */
    guestPort: number;
};

export type AddressLease = {
    /**
     * IPv4 address.
     */
    ip: string;
    /**
     * When the lease ends unless the guest renews it.
     */
    expiresAt: string;
    /**
     * Name that the guest gave itself; not to be trusted.
     */
    hostname?: string;
};

export type Audit = {
    /**
     * Id; sorts by time.
     */
    id: string;
    /**
     * When.
     */
    time: string;
    /**
     * Name of the API key; `anonymous` without a valid one.
     */
    actor: string;
    /**
     * Id of the API key.
     */
    actorId?: string;
    /**
     * Permission the route needs; `unknown` when the request was refused before its route was known.
     */
    permission: string;
    /**
     * Method; `GET` for a console that was opened to type on it.
     */
    method: string;
    /**
     * Path.
     */
    path: string;
    /**
     * How it ended: denied for 401 and 403.
     */
    outcome: 'done' | 'denied' | 'refused' | 'failed';
    /**
     * HTTP status.
     */
    status: number;
    /**
     * Error code.
     */
    code?: string;
    /**
     * Request id.
     */
    requestId: string;
};

export type AuditPage = {
    items: Array<Audit>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type Balloon = {
    /**
     * Bytes that the guest shall give up.
     */
    targetBytes: number;
    /**
     * Bytes that it has given up, as it says.
     */
    actualBytes: number;
    /**
     * How it says it is off for memory, once it has.
     */
    statistics?: BalloonStatistics;
};

export type BalloonSpec = {
    /**
     * What the guest shall give up, in MiB; it keeps 16 MiB at least.
     */
    targetMiB?: number;
    /**
     * Whether the guest may take memory back by itself before it ends programs for want of it.
     */
    deflateOnOom?: boolean;
    /**
     * Whether the guest also gives up, unasked, what nothing in it uses. Not with `prefault`.
     */
    freePageReporting?: boolean;
    /**
     * Whether the guest also says, when it is asked (`POST .../balloon/reclaim`), what nothing in it uses.
     */
    freePageHinting?: boolean;
    /**
     * Seconds between two times that the guest is asked how it is off for memory. 0: only when somebody wants to know.
     */
    statisticsSeconds?: number;
};

export type BalloonStatistics = {
    /**
     * Milliseconds since the guest told this.
     */
    ageMilliseconds: number;
    /**
     * Bytes that nothing uses.
     */
    freeBytes?: number;
    /**
     * Bytes that programs can have without swapping.
     */
    availableBytes?: number;
    /**
     * Bytes there are; without `deflateOnOom` less those given up.
     */
    totalBytes?: number;
    /**
     * Bytes of files kept in memory.
     */
    diskCacheBytes?: number;
    /**
     * Bytes swapped in since the guest started.
     */
    swapInBytes?: number;
    /**
     * Bytes swapped out since the guest started.
     */
    swapOutBytes?: number;
    /**
     * Page faults that waited for a disk, since the guest started.
     */
    majorFaults?: number;
    /**
     * Page faults that did not, since the guest started.
     */
    minorFaults?: number;
    /**
     * Huge pages taken from the pool of the guest, since it started.
     */
    hugetlbAllocations?: number;
    /**
     * Huge pages the pool of the guest did not have, since it started.
     */
    hugetlbFailures?: number;
};

export type Boot = {
    /**
     * Image of kind `kernel`: id or name.
     */
    kernel: string;
    /**
     * Image of kind `initrd`: id or name.
     */
    initrd?: string;
    /**
     * Kernel command line, at most 2047 printable ASCII characters.
     */
    commandLine?: string;
};

export type CloudInit = {
    /**
     * User data as cloud-init takes it: `#cloud-config`, a script that begins with `#!`, or a MIME archive. Shown to those alone who may change machines.
     */
    userData?: string;
    /**
     * Network configuration, version 1 or 2. Absent: cloud-init asks DHCP on the first interface. Shown to those alone who may change machines.
     */
    networkConfig?: string;
    /**
     * Public keys that may log in as the default user of the image, each a line as in `authorized_keys`, without options; at most 64.
     */
    sshKeys?: Array<string>;
};

export type ConsolePort = {
    /**
     * Its name, `/dev/virtio-ports/NAME` in a Linux guest with udev: 1 to 64 letters, digits, `.`, `_` or `-`, and not `hvc0`. Attach to it with `GET /v1/machines/{machine}/console?port=NAME`.
     */
    name: string;
};

export type ConsoleSpec = {
    /**
     * Byte streams; at most 15. Default: none.
     */
    ports?: Array<ConsolePort>;
};

export type CpuOptions = {
    /**
     * Their product is the number of CPUs. Default: one socket of cores without siblings.
     */
    topology?: CpuTopology;
    /**
     * `host`: all that KVM offers; `x86-64-v2` and `x86-64-v3`: the features of that level, the same on every host.
     */
    model?: 'host' | 'x86-64-v2' | 'x86-64-v3';
    /**
     * Features beside those of the model, by their names in /proc/cpuinfo. The host must have them.
     */
    enable?: Array<string>;
    /**
     * Features of the model that the guest does not see, with all that need them.
     */
    disable?: Array<string>;
    /**
     * Whether the guest can run virtual machines itself.
     */
    nested?: boolean;
    /**
     * On which CPUs of the host its threads run. Default: on any.
     */
    pin?: CpuPinning;
};

export type CpuPinning = {
    /**
     * For each virtual CPU a list of CPUs of the host; an empty list means any.
     */
    vcpus?: Array<Array<number>>;
    /**
     * CPUs of the host for the threads of devices.
     */
    io?: Array<number>;
};

export type CpuTopology = {
    /**
     * Sockets.
     */
    sockets?: number;
    /**
     * Cores of each socket.
     */
    cores?: number;
    /**
     * Threads of each core.
     */
    threads?: number;
};

export type CreateKey = {
    /**
     * Unique name of the key.
     */
    name: string;
    /**
     * viewer reads; operator also changes machines and images; admin may do everything.
     */
    role: 'admin' | 'operator' | 'viewer';
};

export type CreateMachine = {
    /**
     * `standard`: a PC with PCI and ACPI. `micro`: virtio devices on MMIO and neither PCI nor ACPI, for the fastest start; the kernel needs virtio-mmio.
     */
    profile?: 'standard' | 'micro';
    /**
     * Whether ACPI tables describe the machine, and it has a power button. Default: true, with the profile `micro` false. Without it `stop` kills the machine.
     */
    acpi?: boolean;
    /**
     * Virtual CPUs, 1 to 64.
     */
    cpus: number;
    /**
     * Memory in MiB: even, at least 16, at most what the host has unless it allows more.
     */
    memoryMiB: number;
    /**
     * What the CPUs are like, and where they run.
     */
    cpu?: CpuOptions;
    /**
     * What stands behind the memory.
     */
    memoryOptions?: MemoryOptions;
    /**
     * NUMA nodes of the guest; at most 16.
     */
    numa?: Array<NumaNode>;
    /**
     * What it boots.
     */
    boot: Boot;
    /**
     * Disks, in the order the guest sees them; at most 16.
     */
    disks?: Array<Disk>;
    /**
     * Network interfaces; at most 8.
     */
    interfaces?: Array<Interface>;
    /**
     * Folders of the host that the guest mounts (virtio-fs); at most 4. For administrators only.
     */
    shares?: Array<Share>;
    /**
     * Whether the guest gets a random number generator.
     */
    rng?: boolean;
    /**
     * Limits of the random number generator. Default: none.
     */
    rngThrottle?: Throttle;
    /**
     * Limits that several devices share; at most 32.
     */
    throttleGroups?: Array<ThrottleGroup>;
    /**
     * Sockets between guest and host (`AF_VSOCK`), at `vsock/<id of the machine>.sock` in the runtime directory of the host. Default: none.
     */
    vsock?: Vsock;
    /**
     * Memory that the guest is asked to give up. Default: none, and no way to ask.
     */
    balloon?: BalloonSpec;
    /**
     * A virtio console: a terminal whose size follows its writer, and byte streams between guest and host. Default: none.
     */
    console?: ConsoleSpec;
    /**
     * A watchdog for the guest. Only ACPI tells of it. Default: none.
     */
    watchdog?: WatchdogSpec;
    /**
     * What cloud-init in the guest does at its first start. One disk more, the last, holds it: 15 others at most. Default: none.
     */
    cloudInit?: CloudInit;
    /**
     * `process`: a worker process of its own. `in-process`: inside the host agent, without a sandbox; for tests, and for administrators only.
     */
    isolation?: 'process' | 'in-process';
    /**
     * What happens when the guest asks for a reboot.
     */
    onReboot?: 'restart' | 'stop';
    /**
     * What happens when the guest kernel panics or triple-faults.
     */
    onCrash?: 'stop' | 'restart' | 'pause';
    /**
     * What happens when the machine ends without having been asked to. Default: on-failure, 5 attempts, 1 s.
     */
    restartPolicy?: RestartPolicy;
    /**
     * Name of the machine, unique; also its host name on its networks.
     */
    name: string;
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels?: {
        [key: string]: string;
    };
    /**
     * Anything worth knowing about it; empty for nothing.
     */
    notes?: string;
    /**
     * Whether it may not be deleted, not by force either.
     */
    protected?: boolean;
    /**
     * Whether to start it at once.
     */
    start?: boolean;
};

export type CreateVolume = {
    /**
     * Unique name of the volume.
     */
    name: string;
    /**
     * Storage pool (id or name) that it is made in.
     */
    pool?: string;
    /**
     * Size in MiB; needed unless `from` is given, and never smaller than that.
     */
    sizeMiB?: number;
    /**
     * Format on the pool. Absent: `qcow2` of a linked clone, else `raw`. A full clone is raw.
     */
    format?: 'raw' | 'qcow2';
    /**
     * What it is made from. Absent: it is empty.
     */
    from?: VolumeSource;
    /**
     * `sparse`: it takes the space that is written to. `full`: it takes all of its space now; raw volumes alone.
     */
    preallocate?: 'sparse' | 'full';
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels?: {
        [key: string]: string;
    };
};

export type DefineNetwork = {
    /**
     * Name, unique among networks.
     */
    name: string;
    /**
     * `nat`: machines reach the outside under the address of the host, and nobody outside reaches them. `isolated`: they reach each other, DHCP and DNS of their own names, and nothing else. `routed`: packets pass both ways with the addresses that they have. `bridge`: they are on a bridge that the host has, without DHCP and rules of ours; machines on it are for administrators.
     */
    kind: 'nat' | 'isolated' | 'routed' | 'bridge';
    /**
     * IPv4 addresses. Default: chosen.
     */
    ipv4?: DefineNetworkIpv4;
    /**
     * Of the kind `bridge`: name of the bridge. Whoever runs the host names those that guests may be on.
     */
    bridge?: string;
    /**
     * MTU of its links, which machines are told of by their interfaces and by DHCP. Absent: 1500, and nobody is told.
     */
    mtu?: number;
    /**
     * Domain of the names of its machines, which DNS knows on the network: `<machine>.<domain>`. Lower case.
     */
    domain?: string;
    /**
     * Whether machines are kept from each other, and reach only what is beyond them.
     */
    isolateMachines?: boolean;
    /**
     * Whether machines may send only from the MAC address of their interface and the IPv4 address that is kept for it; IPv6 stays on the link. A bridge or containers with addresses of their own in a guest need it off.
     */
    antiSpoofing?: boolean;
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels?: {
        [key: string]: string;
    };
};

export type DefineNetworkIpv4 = {
    /**
     * Subnet with a prefix of 16 to 30 bits, by its first address. Private, but of the kind `routed`. Absent: one that is free is chosen.
     */
    subnet?: string;
    /**
     * Address of the host on it. Default: the first one.
     */
    gateway?: string;
    /**
     * First and last address that machines are given. Default: all of the subnet.
     */
    dhcpRange?: string;
};

export type DefinePool = {
    /**
     * Name, unique among pools.
     */
    name: string;
    /**
     * What it is made of. The field of that name (`lvmThin` of `lvm-thin`) says where.
     */
    kind: 'dir' | 'nfs' | 'lvm-thin' | 'lvm';
    /**
     * Of the kind `dir`: where.
     */
    dir?: DirPool;
    /**
     * Of the kind `nfs`: what is mounted.
     */
    nfs?: NfsPool;
    /**
     * Of the kind `lvm-thin`: the thin pool.
     */
    lvmThin?: LvmThinPool;
    /**
     * Of the kind `lvm`: the volume group.
     */
    lvm?: LvmPool;
    /**
     * Whether it is started after a restart of the host.
     */
    autostart?: boolean;
    /**
     * Percent of the capacity that are kept free: below that no volume is made, cloned or grown there (`pool.full`). What guests write to volumes that they have is not held up.
     */
    guardPercent?: number;
    /**
     * How many times its capacity volumes may have together; more is `pool.overcommitted`. Absent: any number.
     */
    overcommitRatio?: number;
    /**
     * Whether it is started at once.
     */
    start?: boolean;
};

export type Desired = {
    /**
     * State asked for.
     */
    state: 'running' | 'stopped' | 'paused';
    /**
     * Grows with each change of the desired state.
     */
    generation: number;
};

export type DirPool = {
    /**
     * Absolute path of a directory of the host: an empty one, or one that is made. A file in it, `.flotilla-pool`, says that it is the pool; without it, as when its file system is not mounted, nothing is written there.
     */
    path: string;
};

export type Disk = {
    /**
     * Name of the disk within the machine.
     */
    name: string;
    /**
     * Image of kind `disk` (id or name) that a volume of its own is made from.
     */
    image?: string;
    /**
     * How the volume is made from the image. `full`: a copy. `linked`: at once and without space; it holds only what the guest writes. `shared`: it is the image, which every machine that has it may only read (`readOnly`). An image cannot be deleted before what is linked to it or shares it.
     */
    clone?: 'full' | 'linked' | 'shared';
    /**
     * Storage pool (id or name) that the volume is made in. Shared disks are in the pool `default`, where images are.
     */
    pool?: string;
    /**
     * Existing volume (id or name) to use instead; no other machine may hold it. It stays when the machine is deleted.
     */
    volume?: string;
    /**
     * Size of the volume in MiB. Never smaller than the image.
     */
    sizeMiB?: number;
    /**
     * Whether the guest may only read it.
     */
    readOnly?: boolean;
    /**
     * What the guest finds it as. `pmem`: memory (virtio-pmem), which machines with a shared disk have once; there are no requests that what follows could apply to. Not for linked clones. One that the guest may write has an even sizeMiB.
     */
    attach?: 'block' | 'pmem';
    /**
     * Serial number the guest sees.
     */
    serial?: string;
    /**
     * Queues that the guest can use at the same time, each with a thread. Absent: one for each CPU, at most 16.
     */
    queues?: number;
    /**
     * What becomes of writes before the guest flushes. `writeback`: in the cache of the host. `none`: past that cache. `writethrough`: each is durable when it ends.
     */
    cache?: 'none' | 'writeback' | 'writethrough';
    /**
     * How the host reads and writes. `auto`: system calls for what is in memory, else io_uring where the host allows it.
     */
    engine?: 'auto' | 'io-uring' | 'direct';
    /**
     * Bytes of a block as the guest sees it: 512 or 4096. Absent: the smallest that works.
     */
    blockSize?: 512 | 4096;
    /**
     * What follows when the host has no space for a write. `report`: the guest is told. `pause`: the machine is paused, and the write is tried again when it is resumed.
     */
    onNoSpace?: 'report' | 'pause';
    /**
     * Limits of its requests and of the bytes that they read, write or make zero. Default: none.
     */
    throttle?: Throttle;
};

export type Event = {
    /**
     * Sequence number; give the last one as Last-Event-ID to go on after it.
     */
    id: number;
    /**
     * What happened.
     */
    kind: 'machine.created' | 'machine.updated' | 'machine.state' | 'machine.watchdog' | 'machine.disk_full' | 'machine.link_lost' | 'machine.share_lost' | 'machine.deleted' | 'operation.created' | 'operation.updated' | 'image.created' | 'image.ready' | 'image.failed' | 'image.deleted' | 'network.created' | 'network.updated' | 'network.ready' | 'network.lease' | 'network.deleted' | 'volume.created' | 'volume.ready' | 'volume.updated' | 'volume.failed' | 'volume.deleted' | 'pool.created' | 'pool.updated' | 'pool.state' | 'pool.guard' | 'pool.deleted' | 'key.created' | 'key.deleted';
    /**
     * When.
     */
    time: string;
    /**
     * To what.
     */
    target: Target;
    /**
     * More about it, by kind.
     */
    data: {
        [key: string]: unknown;
    };
    /**
     * Request that caused it.
     */
    requestId?: string;
};

export type FieldProblem = {
    /**
     * Stable code of the fault.
     */
    code: 'request.malformed' | 'request.invalid_cursor' | 'request.invalid_query' | 'request.invalid_header' | 'request.not_found' | 'request.method_not_allowed' | 'request.too_large' | 'request.unsupported_media_type' | 'request.invalid' | 'request.unknown_field' | 'request.missing_field' | 'request.invalid_type' | 'request.invalid_value' | 'request.invalid_name' | 'request.invalid_labels' | 'auth.missing' | 'auth.invalid' | 'auth.forbidden' | 'precondition.failed' | 'idempotency.mismatch' | 'idempotency.in_flight' | 'events.too_old' | 'operation.not_found' | 'operation.not_cancellable' | 'operation.cancelled' | 'operation.interrupted' | 'machine.not_found' | 'machine.name_taken' | 'machine.state_conflict' | 'machine.protected' | 'machine.stop_timeout' | 'machine.no_power_button' | 'machine.no_balloon' | 'machine.no_hinting' | 'machine.stuck' | 'machine.not_seen' | 'console.writer_taken' | 'console.port_not_found' | 'console.full' | 'image.not_found' | 'image.name_taken' | 'image.not_ready' | 'image.in_use' | 'image.wrong_kind' | 'image.format_mismatch' | 'image.truncated' | 'image.checksum_mismatch' | 'image.corrupt' | 'image.backing' | 'image.source_refused' | 'image.source_failed' | 'file.missing' | 'file.not_regular' | 'file.denied' | 'file.outside_roots' | 'pool.not_found' | 'pool.full' | 'pool.name_taken' | 'pool.state_conflict' | 'pool.built_in' | 'pool.not_started' | 'pool.in_use' | 'pool.not_empty' | 'pool.unavailable' | 'pool.overcommitted' | 'pool.unsupported' | 'pool.config_invalid' | 'pool.place_invalid' | 'pool.place_taken' | 'pool.outside_roots' | 'disk.not_found' | 'disk.size' | 'disk.unsupported' | 'volume.not_found' | 'volume.locked' | 'volume.name_taken' | 'volume.in_use' | 'volume.state_conflict' | 'network.not_found' | 'network.name_taken' | 'network.subnet_invalid' | 'network.subnet_overlaps' | 'network.in_use' | 'network.built_in' | 'network.too_many' | 'network.config_invalid' | 'network.bridge_refused' | 'network.bridge_missing' | 'network.place_taken' | 'network.full' | 'network.address_invalid' | 'network.address_taken' | 'network.mac_taken' | 'network.no_free_subnet' | 'tap.missing' | 'tap.busy' | 'tap.denied' | 'tap.unsuitable' | 'tap.exists' | 'share.missing' | 'share.failed' | 'share.denied' | 'share.forbidden' | 'share.not_folder' | 'passt.missing' | 'passt.failed' | 'macvtap.parent_refused' | 'macvtap.parent_missing' | 'forward.not_found' | 'forward.unsupported' | 'forward.machine_invalid' | 'forward.too_many' | 'forward.port_busy' | 'forward.port_denied' | 'forward.address_unknown' | 'vhost.missing' | 'vhost.denied' | 'throttle.unknown' | 'interface.not_found' | 'interface.no_announcement' | 'host.not_found' | 'host.kvm_missing' | 'host.kvm_denied' | 'host.kvm_unsupported' | 'host.no_memory' | 'host.memory_overcommitted' | 'host.no_hugepages' | 'host.memory_lock' | 'host.no_page_merging' | 'host.numa_node' | 'host.cpu_features' | 'host.cpu_absent' | 'host.io' | 'host.command_failed' | 'host.data_foreign' | 'host.invalid_command' | 'host.unavailable' | 'host.rebooted' | 'key.not_found' | 'key.name_taken' | 'key.last_admin' | 'key.secret_shown_once' | 'spec.invalid' | 'spec.profile_conflict' | 'spec.memory_too_small' | 'spec.memory_too_large' | 'spec.memory_unaligned' | 'spec.cpus_out_of_range' | 'spec.cpu_topology' | 'spec.cpu_feature' | 'spec.pin_invalid' | 'spec.memory_conflict' | 'spec.balloon_invalid' | 'spec.numa_invalid' | 'spec.mac_invalid' | 'spec.throttle_invalid' | 'spec.throttle_group' | 'spec.throttle_unsupported' | 'spec.network_conflict' | 'spec.share_invalid' | 'spec.forward_invalid' | 'spec.spoof_guard_unsupported' | 'spec.command_line_invalid' | 'spec.cloud_init_invalid' | 'spec.disk_invalid' | 'spec.duplicate_name' | 'kernel.unrecognised' | 'kernel.truncated' | 'guest.powered_off' | 'guest.rebooted' | 'guest.panic' | 'guest.triple_fault' | 'guest.watchdog' | 'worker.busy' | 'worker.gone' | 'worker.failed' | 'internal';
    /**
     * JSON path of the field, for example `disks[0].image`.
     */
    field: string;
    /**
     * What is wrong with it.
     */
    detail: string;
    /**
     * How to mend it.
     */
    remedy: string;
};

export type Forward = {
    /**
     * What is forwarded.
     */
    protocol: 'tcp' | 'udp';
    /**
     * IPv4 or IPv6 address of the host to listen at. Default: 127.0.0.1, which only the host itself reaches.
     */
    hostAddress?: string;
    /**
     * Port of the host. A machine forwards each port of a protocol once.
     */
    hostPort: number;
    /**
     * Port of the guest.
     */
    guestPort: number;
};

export type Health = {
    /**
     * `ok`, or `starting` until everything was adopted.
     */
    status: 'ok' | 'starting';
};

export type Host = {
    /**
     * Id.
     */
    id: string;
    /**
     * Host name.
     */
    name: string;
    /**
     * CPUs of the host.
     */
    cpus: number;
    /**
     * Memory of the host in MiB.
     */
    memoryMiB: number;
    /**
     * Kernel version.
     */
    kernel: string;
    /**
     * Kind of KVM.
     */
    kvm: HostKvm;
    /**
     * The last report.
     */
    report: HostReport;
};

export type HostCheck = {
    /**
     * Stable id of the check.
     */
    id: string;
    /**
     * What is checked.
     */
    title: string;
    /**
     * Outcome.
     */
    status: 'ok' | 'degraded' | 'missing';
    /**
     * What was found.
     */
    detail: string;
    /**
     * What it means for machines.
     */
    meaning: string;
    /**
     * How to mend it.
     */
    remedy?: string;
};

export type HostKvm = {
    /**
     * `hardware`: runs everything; `software`: kvm without hardware support; `none`.
     */
    kind: 'hardware' | 'software' | 'none';
    /**
     * What the probe found.
     */
    detail: string;
};

export type HostPage = {
    items: Array<Host>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type HostReport = {
    /**
     * All checks.
     */
    checks: Array<HostCheck>;
    /**
     * Kind of KVM.
     */
    kvm: HostKvm;
};

export type Image = {
    /**
     * Id; sorts by time of creation.
     */
    id: string;
    /**
     * Unique name.
     */
    name: string;
    /**
     * What it is.
     */
    kind: 'kernel' | 'initrd' | 'disk';
    /**
     * Format in which the pool keeps it.
     */
    format: 'elf' | 'bzimage' | 'raw' | 'initrd';
    /**
     * Size in bytes; 0 while it is imported.
     */
    sizeBytes: number;
    /**
     * SHA-256 in hexadecimal; empty while it is imported.
     */
    sha256: string;
    /**
     * State.
     */
    state: 'importing' | 'ready' | 'failed';
    /**
     * When the import was asked for.
     */
    createdAt: string;
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels: {
        [key: string]: string;
    };
    /**
     * Where it came from.
     */
    source: ImageOrigin;
};

export type ImageOrigin = {
    /**
     * Path of the file on the host; shown to administrators alone.
     */
    path?: string;
    /**
     * URL it was downloaded from, without its query.
     */
    url?: string;
    /**
     * True when it was uploaded.
     */
    upload?: boolean;
};

export type ImagePage = {
    items: Array<Image>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type ImageSource = {
    /**
     * Absolute path of a regular file on the host, no symbolic link. With import roots it must lie below one of them; without, only administrators may give a path.
     */
    path?: string;
    /**
     * URL of HTTP or HTTPS that the host downloads the file from; HTTP needs sha256. Without download hosts it is one of public address, or an administrator asks.
     */
    url?: string;
};

export type ImportImage = {
    /**
     * Unique name of the image.
     */
    name: string;
    /**
     * What it is.
     */
    kind: 'kernel' | 'initrd' | 'disk';
    /**
     * Format of the file; it is checked, never guessed. kernel: elf or bzimage; initrd: initrd; disk: raw, or qcow2, vmdk, vhd, vhdx or vdi, which become raw.
     */
    format: 'elf' | 'bzimage' | 'raw' | 'initrd' | 'qcow2' | 'vmdk' | 'vhd' | 'vhdx' | 'vdi';
    /**
     * The file to copy or download.
     */
    source: ImageSource;
    /**
     * SHA-256 the file must have, 64 lower-case hexadecimal digits.
     */
    sha256?: string;
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels?: {
        [key: string]: string;
    };
};

export type Interface = {
    /**
     * Name of the interface within the machine.
     */
    name: string;
    /**
     * Network: id or name. Absent with `user` and `macvtap`.
     */
    network?: string;
    /**
     * IPv4 address that its network keeps for it and DHCP gives it: any of the subnet but the gateway, also outside of the range of others. Absent: the lowest that is free. Not with `user`, `macvtap` and networks of the kind `bridge`.
     */
    address?: string;
    /**
     * User-mode networking in place of a network: a passt process speaks for the guest with sockets of the host, and needs no privilege. The guest reaches what the host reaches, but not its loopback. For administrators only.
     */
    user?: UserNetwork;
    /**
     * A link of the host in place of a network (macvtap): the guest is on the network behind that link, as a machine beside the host, and gets its address there. Host and guest do not reach each other by it. For administrators only.
     */
    macvtap?: Macvtap;
    /**
     * MAC address; made from the id of the machine when absent.
     */
    mac?: string;
    /**
     * Who moves the frames: `tap`, the worker; `vhost`, the kernel of the host by vhost-net.
     */
    backend?: 'tap' | 'vhost';
    /**
     * Pairs of queues, each with a thread of its own: so many processors can send and receive at once.
     */
    queues?: number;
    /**
     * MTU that the guest is told of. Default: its own.
     */
    mtu?: number;
    /**
     * Whether the cable is plugged in.
     */
    link?: 'up' | 'down';
    /**
     * Whether the guest may send from other MAC addresses, or take one. Otherwise such frames are dropped and counted.
     */
    allowSpoofedMac?: boolean;
    /**
     * Limits of what comes to the guest; not with `vhost`. Default: none.
     */
    receiveThrottle?: Throttle;
    /**
     * Limits of what the guest sends; not with `vhost`. Default: none.
     */
    transmitThrottle?: Throttle;
};

export type Key = {
    /**
     * Id.
     */
    id: string;
    /**
     * Unique name.
     */
    name: string;
    /**
     * Role.
     */
    role: 'admin' | 'operator' | 'viewer';
    /**
     * When it was made.
     */
    createdAt: string;
};

export type KeyPage = {
    items: Array<Key>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type Lease = {
    /**
     * MAC address.
     */
    mac: string;
    /**
     * IPv4 address.
     */
    ip: string;
    /**
     * Name under which DNS knows it.
     */
    hostname?: string;
    /**
     * Id of the machine.
     */
    machine?: string;
    /**
     * `reserved`: kept for the machine. `taken`: its guest has asked for it by DHCP and holds it.
     */
    state: 'reserved' | 'taken';
    /**
     * When a taken address falls back to reserved unless the guest renews it.
     */
    expiresAt?: string;
};

export type Limits = {
    /**
     * Bytes.
     */
    bytes?: Rate;
    /**
     * Operations, whatever their size: requests to a disk, frames of an interface.
     */
    operations?: Rate;
};

export type LvmPool = {
    /**
     * Name of a volume group that there is. A tag of it says that it is the pool; other volumes in it are left alone.
     */
    volumeGroup: string;
};

export type LvmThinPool = {
    /**
     * Name of a volume group that there is.
     */
    volumeGroup: string;
    /**
     * Name of a thin pool in it, which zeroes its blocks (`lvchange -Zy`). A tag of the thin pool says that it is the pool; other volumes in it are left alone.
     */
    thinPool: string;
};

export type Machine = {
    /**
     * Id; sorts by time of creation.
     */
    id: string;
    /**
     * Unique name.
     */
    name: string;
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels: {
        [key: string]: string;
    };
    /**
     * What people write about it.
     */
    notes: string;
    /**
     * Whether it may not be deleted.
     */
    protected: boolean;
    /**
     * Grows with each change; the ETag is `W/"<generation>"`.
     */
    generation: number;
    /**
     * When it was created.
     */
    createdAt: string;
    /**
     * When it last changed.
     */
    updatedAt: string;
    /**
     * What it is made of, all defaults filled in.
     */
    spec: MachineSpec;
    /**
     * State asked for.
     */
    desired: Desired;
    /**
     * State seen.
     */
    observed: Observed;
};

export type MachineAddress = {
    /**
     * Name of the interface.
     */
    interface: string;
    /**
     * MAC address.
     */
    mac: string;
    /**
     * IPv4 address that is reserved for it: DHCP gives it this one and no other machine.
     */
    address?: string;
    /**
     * What the guest has taken; absent until it has asked, and after its lease ended.
     */
    lease?: AddressLease;
};

export type MachineDisk = {
    /**
     * Name of the disk.
     */
    name: string;
    /**
     * Id of its volume.
     */
    volume: string;
};

export type MachineMetrics = {
    /**
     * Counters by name since the start of the worker.
     */
    counters: {
        [key: string]: number;
    };
};

export type MachinePage = {
    items: Array<Machine>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type MachinePartStats = {
    /**
     * The part: `disk:root`, `net:eth0`, `vcpu:0`, `process`.
     */
    name: string;
    /**
     * What kind of part it is.
     */
    component: 'vcpu' | 'process' | 'interrupts' | 'disk' | 'pmem' | 'net' | 'rng' | 'share' | 'vsock' | 'console' | 'balloon' | 'serial' | 'rtc' | 'i8042' | 'acpi-pm' | 'pvpanic' | 'reset-control' | 'watchdog' | 'vm-generation';
    /**
     * Its metrics by name, as docs/metrics-list.md has them: counts, bytes and nanoseconds.
     */
    metrics: {
        [key: string]: number;
    };
};

export type MachineSpec = {
    /**
     * `standard`: a PC with PCI and ACPI. `micro`: virtio devices on MMIO and neither PCI nor ACPI, for the fastest start; the kernel needs virtio-mmio.
     */
    profile?: 'standard' | 'micro';
    /**
     * Whether ACPI tables describe the machine, and it has a power button. Default: true, with the profile `micro` false. Without it `stop` kills the machine.
     */
    acpi?: boolean;
    /**
     * Virtual CPUs, 1 to 64.
     */
    cpus: number;
    /**
     * Memory in MiB: even, at least 16, at most what the host has unless it allows more.
     */
    memoryMiB: number;
    /**
     * What the CPUs are like, and where they run.
     */
    cpu?: CpuOptions;
    /**
     * What stands behind the memory.
     */
    memoryOptions?: MemoryOptions;
    /**
     * NUMA nodes of the guest; at most 16.
     */
    numa?: Array<NumaNode>;
    /**
     * What it boots.
     */
    boot: Boot;
    /**
     * Disks, in the order the guest sees them; at most 16.
     */
    disks?: Array<Disk>;
    /**
     * Network interfaces; at most 8.
     */
    interfaces?: Array<Interface>;
    /**
     * Folders of the host that the guest mounts (virtio-fs); at most 4. For administrators only.
     */
    shares?: Array<Share>;
    /**
     * Whether the guest gets a random number generator.
     */
    rng?: boolean;
    /**
     * Limits of the random number generator. Default: none.
     */
    rngThrottle?: Throttle;
    /**
     * Limits that several devices share; at most 32.
     */
    throttleGroups?: Array<ThrottleGroup>;
    /**
     * Sockets between guest and host (`AF_VSOCK`), at `vsock/<id of the machine>.sock` in the runtime directory of the host. Default: none.
     */
    vsock?: Vsock;
    /**
     * Memory that the guest is asked to give up. Default: none, and no way to ask.
     */
    balloon?: BalloonSpec;
    /**
     * A virtio console: a terminal whose size follows its writer, and byte streams between guest and host. Default: none.
     */
    console?: ConsoleSpec;
    /**
     * A watchdog for the guest. Only ACPI tells of it. Default: none.
     */
    watchdog?: WatchdogSpec;
    /**
     * What cloud-init in the guest does at its first start. One disk more, the last, holds it: 15 others at most. Default: none.
     */
    cloudInit?: CloudInit;
    /**
     * `process`: a worker process of its own. `in-process`: inside the host agent, without a sandbox; for tests, and for administrators only.
     */
    isolation?: 'process' | 'in-process';
    /**
     * What happens when the guest asks for a reboot.
     */
    onReboot?: 'restart' | 'stop';
    /**
     * What happens when the guest kernel panics or triple-faults.
     */
    onCrash?: 'stop' | 'restart' | 'pause';
    /**
     * What happens when the machine ends without having been asked to. Default: on-failure, 5 attempts, 1 s.
     */
    restartPolicy?: RestartPolicy;
};

export type MachineStats = {
    /**
     * When it was asked.
     */
    takenAt: string;
    /**
     * Seconds that its CPUs ran on those of the host, added up. Absent where the host does not say.
     */
    cpuSeconds?: number;
    /**
     * Seconds that its CPUs had to wait for one of the host, added up: stolen from the guest.
     */
    stolenSeconds?: number;
    /**
     * Bytes of the memory of the host that it has now, what runs it included.
     */
    residentBytes?: number;
    /**
     * Times that its CPUs left the guest for the worker.
     */
    exits: number;
    /**
     * Bytes read from all its disks.
     */
    diskReadBytes: number;
    /**
     * Bytes written to all its disks.
     */
    diskWriteBytes: number;
    /**
     * Bytes its guest has received on all interfaces but those of vhost-net.
     */
    netReceiveBytes: number;
    /**
     * Bytes its guest has sent on all interfaces but those of vhost-net.
     */
    netTransmitBytes: number;
    /**
     * The same, and everything else, part by part.
     */
    parts: Array<MachinePartStats>;
};

export type Macvtap = {
    /**
     * Name of the link; whoever runs the host names those that guests may be on (`flotilla up --macvtap-parent`).
     */
    parent: string;
    /**
     * `bridge`: interfaces on one link reach each other. `vepa`: by the switch behind it alone. `private`: not at all.
     */
    mode?: 'bridge' | 'vepa' | 'private';
};

export type MemoryOptions = {
    /**
     * `memfd`: other processes can map it; `hugetlb-*`: huge pages from the pool of the host.
     */
    backing?: 'anonymous' | 'memfd' | 'hugetlb-2M' | 'hugetlb-1G';
    /**
     * Whether the kernel makes transparent huge pages of it. Default: always. Not with hugetlb.
     */
    transparentHugepages?: 'default' | 'always' | 'never';
    /**
     * Whether the host commits all of it before the guest starts.
     */
    prefault?: boolean;
    /**
     * Whether what is committed is never swapped.
     */
    lock?: boolean;
    /**
     * Whether the host may merge equal pages of machines. They can then spy on each other by timing.
     */
    mergeable?: boolean;
};

export type MoveVolume = {
    /**
     * Storage pool (id or name) that it goes into.
     */
    pool: string;
};

export type Network = {
    /**
     * Id.
     */
    id: string;
    /**
     * Unique name.
     */
    name: string;
    /**
     * Whom its machines reach.
     */
    kind: 'nat' | 'isolated' | 'routed' | 'bridge';
    /**
     * IPv4 addresses. Absent of the kind `bridge`.
     */
    ipv4?: NetworkIpv4;
    /**
     * Name of its bridge on the host.
     */
    bridge: string;
    /**
     * MTU of its links. Absent: 1500, or that of the bridge of the host, and machines are not told.
     */
    mtu?: number;
    /**
     * Domain of the names of its machines.
     */
    domain: string;
    /**
     * Whether its machines are kept from each other.
     */
    isolateMachines: boolean;
    /**
     * Whether they may send from their own addresses alone. Of the network `default` not, unless it was asked for.
     */
    antiSpoofing: boolean;
    /**
     * Labels.
     */
    labels: {
        [key: string]: string;
    };
    /**
     * `pending`: the host has it not, for no machine uses it. `ready`: the host has it.
     */
    state: 'pending' | 'ready' | 'failed';
    /**
     * Grows with each change of what was asked for; the ETag is `W/"<generation>"`.
     */
    generation: number;
    /**
     * When it was made.
     */
    createdAt: string;
    /**
     * When what was asked for was last changed.
     */
    updatedAt: string;
    /**
     * Addresses of its machines, in the order of the addresses.
     */
    leases: Array<Lease>;
};

export type NetworkForward = {
    /**
     * Id.
     */
    id: string;
    /**
     * What is forwarded.
     */
    protocol: 'tcp' | 'udp';
    /**
     * IPv4 address of the host. Absent: all of them.
     */
    hostAddress?: string;
    /**
     * Port of the host.
     */
    hostPort: number;
    /**
     * Id of the machine.
     */
    machine: string;
    /**
     * Name of its interface.
     */
    interface: string;
    /**
     * IPv4 address of that interface.
     */
    address: string;
    /**
     * Port of the guest.
     */
    guestPort: number;
    /**
     * When it was made.
     */
    createdAt: string;
};

export type NetworkForwardPage = {
    items: Array<NetworkForward>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type NetworkIpv4 = {
    /**
     * Subnet in CIDR notation.
     */
    subnet: string;
    /**
     * Address of the host on it; also the DNS server of the guests.
     */
    gateway: string;
    /**
     * First and last address that is given to machines.
     */
    dhcpRange: string;
};

export type NetworkPage = {
    items: Array<Network>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type NewKey = {
    /**
     * Id.
     */
    id: string;
    /**
     * Unique name.
     */
    name: string;
    /**
     * Role.
     */
    role: 'admin' | 'operator' | 'viewer';
    /**
     * When it was made.
     */
    createdAt: string;
    /**
     * The key to use as bearer token; shown this once.
     */
    secret: string;
};

export type NfsOptions = {
    /**
     * While the server is away, guests wait (`hard`), or see I/O errors after `timeo` and `retrans` (`soft`), which may cost them data.
     */
    mode?: 'hard' | 'soft';
    /**
     * Tenths of a second until a request is sent again.
     */
    timeo?: number;
    /**
     * How often it is sent again before it is an error, or a message.
     */
    retrans?: number;
    /**
     * Connections to the server.
     */
    nconnect?: number;
};

export type NfsPool = {
    /**
     * Name or address of the server.
     */
    server: string;
    /**
     * Absolute path of an empty directory that it exports to this host with `no_root_squash`. A file in it, `.flotilla-pool`, says that it is the pool.
     */
    path: string;
    /**
     * Version of the protocol.
     */
    version?: '4.1' | '4.2';
    /**
     * Options of the mount.
     */
    options?: NfsOptions;
};

export type NoBody = {
    [key: string]: never;
};

export type NumaNode = {
    /**
     * Its CPUs, from 0. Each CPU of the machine belongs to one node.
     */
    cpus: Array<number>;
    /**
     * Its memory in MiB; all nodes together have that of the machine.
     */
    memoryMiB: number;
    /**
     * Nodes of the host that its memory comes from. Default: any.
     */
    hostNodes?: Array<number>;
    /**
     * Distance to each node: 10 to itself, 11 to 254 to others. Default: 20 to others.
     */
    distances?: Array<number>;
};

export type Observed = {
    /**
     * State it is in; `unknown`: the host was not looked at since the orchestrator was started.
     */
    state: 'creating' | 'stopped' | 'starting' | 'running' | 'pausing' | 'paused' | 'stopping' | 'failed' | 'deleting' | 'unknown';
    /**
     * The desired generation this state answers.
     */
    generation: number;
    /**
     * Why, when it is not where it should be.
     */
    reason?: StateReason;
    /**
     * Process id of its worker on the host.
     */
    workerPid?: number;
    /**
     * When it last began to run.
     */
    startedAt?: string;
    /**
     * Restarts made by the restart policy.
     */
    restarts: number;
    /**
     * When the restart policy tries again.
     */
    nextRestartAt?: string;
    /**
     * Deletes in a row that failed; `reason` says why.
     */
    deleteAttempts?: number;
    /**
     * When the failed delete is tried again. It may be deleted again before.
     */
    nextDeleteAt?: string;
    /**
     * Its addresses.
     */
    addresses: Array<MachineAddress>;
    /**
     * Its disks.
     */
    disks: Array<MachineDisk>;
};

export type Operation = {
    /**
     * Id.
     */
    id: string;
    /**
     * What is done.
     */
    kind: 'machine.create' | 'machine.start' | 'machine.stop' | 'machine.restart' | 'machine.kill' | 'machine.pause' | 'machine.resume' | 'machine.delete' | 'image.import' | 'image.delete' | 'disk.attach' | 'disk.detach' | 'volume.create' | 'volume.move' | 'volume.delete' | 'pool.define' | 'pool.start' | 'pool.stop' | 'pool.refresh' | 'pool.delete';
    /**
     * To what.
     */
    target: Target;
    /**
     * State.
     */
    state: 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled';
    /**
     * Its steps in order.
     */
    steps: Array<OperationStep>;
    /**
     * How far the running step is.
     */
    progress?: OperationProgress;
    /**
     * What came out, for example `{"machineId": "mac-..."}`.
     */
    result?: {
        [key: string]: unknown;
    };
    /**
     * Why it failed or was cancelled.
     */
    error?: Problem;
    /**
     * When it was accepted.
     */
    createdAt: string;
    /**
     * When its first step began.
     */
    startedAt?: string;
    /**
     * When it ended.
     */
    endedAt?: string;
    /**
     * Whether it can be cancelled now.
     */
    mayCancel: boolean;
    /**
     * Name of the API key that asked for it, or `system`.
     */
    requestedBy: string;
};

export type OperationPage = {
    items: Array<Operation>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type OperationProgress = {
    /**
     * Bytes done.
     */
    bytes?: number;
    /**
     * Bytes to do.
     */
    totalBytes?: number;
    /**
     * Percent done, 0 to 100.
     */
    percent?: number;
    /**
     * Bytes done in a second, lately.
     */
    bytesPerSecond?: number;
};

export type OperationStep = {
    /**
     * Name of the step.
     */
    name: string;
    /**
     * State of the step.
     */
    state: 'pending' | 'running' | 'succeeded' | 'failed' | 'undone' | 'skipped';
    /**
     * When it began.
     */
    startedAt?: string;
    /**
     * When it ended.
     */
    endedAt?: string;
};

export type Pool = {
    /**
     * Id.
     */
    id: string;
    /**
     * Unique name.
     */
    name: string;
    /**
     * What it is made of.
     */
    kind: 'dir' | 'nfs' | 'lvm-thin' | 'lvm';
    /**
     * Of the kind `dir`: where. Absent of the pool `default`.
     */
    dir?: DirPool;
    /**
     * Of the kind `nfs`: what is mounted.
     */
    nfs?: NfsPool;
    /**
     * Of the kind `lvm-thin`: the thin pool.
     */
    lvmThin?: LvmThinPool;
    /**
     * Of the kind `lvm`: the volume group.
     */
    lvm?: LvmPool;
    /**
     * Grows with each change of what was asked for; the ETag is `W/"<generation>"`.
     */
    generation: number;
    /**
     * What was asked for.
     */
    desired: 'started' | 'stopped';
    /**
     * What it is. `unavailable`: it is to be started and the host cannot reach it; `reason` says why, and it is tried again.
     */
    state: 'creating' | 'stopped' | 'ready' | 'unavailable' | 'deleting';
    /**
     * Why it is not what was asked for.
     */
    reason?: PoolReason;
    /**
     * What it can do beside making and removing volumes.
     */
    capabilities: Array<'linkedClones' | 'resize' | 'reflink' | 'snapshots' | 'qcow2' | 'preallocation'>;
    /**
     * Whether it is started after a restart of the host.
     */
    autostart: boolean;
    /**
     * Percent of the capacity that are kept free: below that nothing new is made there.
     */
    guardPercent: number;
    /**
     * Whether less is free than the guard keeps.
     */
    guarded: boolean;
    /**
     * How many times its capacity volumes may have together. Absent: any number.
     */
    overcommitRatio?: number;
    /**
     * Bytes of the storage it is on; 0 while it is not ready.
     */
    capacityBytes: number;
    /**
     * Bytes given to volumes and images.
     */
    allocatedBytes: number;
    /**
     * Bytes that new images and volumes may take: what is free, less a part kept back (guard, database).
     */
    availableBytes: number;
    /**
     * Of the kind `lvm-thin`, while it is ready: percent of the thin pool that hold data.
     */
    dataPercent?: number;
    /**
     * Of the kind `lvm-thin`, while it is ready: percent of its metadata that are in use. From 90 on nothing is made there.
     */
    metadataPercent?: number;
    /**
     * Bytes that its volumes may come to hold together.
     */
    promisedBytes: number;
    /**
     * How many volumes it has.
     */
    volumes: number;
    /**
     * When it was defined.
     */
    createdAt: string;
    /**
     * When what was asked for was last changed.
     */
    updatedAt: string;
};

export type PoolPage = {
    items: Array<Pool>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type PoolReason = {
    /**
     * Stable code.
     */
    code: string;
    /**
     * What happened.
     */
    detail: string;
    /**
     * What to do about it.
     */
    remedy: string;
};

export type Problem = {
    /**
     * URI of the kind of problem.
     */
    type: string;
    /**
     * Short text for the kind of problem.
     */
    title: string;
    /**
     * HTTP status.
     */
    status: number;
    /**
     * Stable code; decide by it, never by the texts.
     */
    code: 'request.malformed' | 'request.invalid_cursor' | 'request.invalid_query' | 'request.invalid_header' | 'request.not_found' | 'request.method_not_allowed' | 'request.too_large' | 'request.unsupported_media_type' | 'request.invalid' | 'request.unknown_field' | 'request.missing_field' | 'request.invalid_type' | 'request.invalid_value' | 'request.invalid_name' | 'request.invalid_labels' | 'auth.missing' | 'auth.invalid' | 'auth.forbidden' | 'precondition.failed' | 'idempotency.mismatch' | 'idempotency.in_flight' | 'events.too_old' | 'operation.not_found' | 'operation.not_cancellable' | 'operation.cancelled' | 'operation.interrupted' | 'machine.not_found' | 'machine.name_taken' | 'machine.state_conflict' | 'machine.protected' | 'machine.stop_timeout' | 'machine.no_power_button' | 'machine.no_balloon' | 'machine.no_hinting' | 'machine.stuck' | 'machine.not_seen' | 'console.writer_taken' | 'console.port_not_found' | 'console.full' | 'image.not_found' | 'image.name_taken' | 'image.not_ready' | 'image.in_use' | 'image.wrong_kind' | 'image.format_mismatch' | 'image.truncated' | 'image.checksum_mismatch' | 'image.corrupt' | 'image.backing' | 'image.source_refused' | 'image.source_failed' | 'file.missing' | 'file.not_regular' | 'file.denied' | 'file.outside_roots' | 'pool.not_found' | 'pool.full' | 'pool.name_taken' | 'pool.state_conflict' | 'pool.built_in' | 'pool.not_started' | 'pool.in_use' | 'pool.not_empty' | 'pool.unavailable' | 'pool.overcommitted' | 'pool.unsupported' | 'pool.config_invalid' | 'pool.place_invalid' | 'pool.place_taken' | 'pool.outside_roots' | 'disk.not_found' | 'disk.size' | 'disk.unsupported' | 'volume.not_found' | 'volume.locked' | 'volume.name_taken' | 'volume.in_use' | 'volume.state_conflict' | 'network.not_found' | 'network.name_taken' | 'network.subnet_invalid' | 'network.subnet_overlaps' | 'network.in_use' | 'network.built_in' | 'network.too_many' | 'network.config_invalid' | 'network.bridge_refused' | 'network.bridge_missing' | 'network.place_taken' | 'network.full' | 'network.address_invalid' | 'network.address_taken' | 'network.mac_taken' | 'network.no_free_subnet' | 'tap.missing' | 'tap.busy' | 'tap.denied' | 'tap.unsuitable' | 'tap.exists' | 'share.missing' | 'share.failed' | 'share.denied' | 'share.forbidden' | 'share.not_folder' | 'passt.missing' | 'passt.failed' | 'macvtap.parent_refused' | 'macvtap.parent_missing' | 'forward.not_found' | 'forward.unsupported' | 'forward.machine_invalid' | 'forward.too_many' | 'forward.port_busy' | 'forward.port_denied' | 'forward.address_unknown' | 'vhost.missing' | 'vhost.denied' | 'throttle.unknown' | 'interface.not_found' | 'interface.no_announcement' | 'host.not_found' | 'host.kvm_missing' | 'host.kvm_denied' | 'host.kvm_unsupported' | 'host.no_memory' | 'host.memory_overcommitted' | 'host.no_hugepages' | 'host.memory_lock' | 'host.no_page_merging' | 'host.numa_node' | 'host.cpu_features' | 'host.cpu_absent' | 'host.io' | 'host.command_failed' | 'host.data_foreign' | 'host.invalid_command' | 'host.unavailable' | 'host.rebooted' | 'key.not_found' | 'key.name_taken' | 'key.last_admin' | 'key.secret_shown_once' | 'spec.invalid' | 'spec.profile_conflict' | 'spec.memory_too_small' | 'spec.memory_too_large' | 'spec.memory_unaligned' | 'spec.cpus_out_of_range' | 'spec.cpu_topology' | 'spec.cpu_feature' | 'spec.pin_invalid' | 'spec.memory_conflict' | 'spec.balloon_invalid' | 'spec.numa_invalid' | 'spec.mac_invalid' | 'spec.throttle_invalid' | 'spec.throttle_group' | 'spec.throttle_unsupported' | 'spec.network_conflict' | 'spec.share_invalid' | 'spec.forward_invalid' | 'spec.spoof_guard_unsupported' | 'spec.command_line_invalid' | 'spec.cloud_init_invalid' | 'spec.disk_invalid' | 'spec.duplicate_name' | 'kernel.unrecognised' | 'kernel.truncated' | 'guest.powered_off' | 'guest.rebooted' | 'guest.panic' | 'guest.triple_fault' | 'guest.watchdog' | 'worker.busy' | 'worker.gone' | 'worker.failed' | 'internal';
    /**
     * What went wrong in this case.
     */
    detail: string;
    /**
     * Field at fault, as a JSON path.
     */
    field?: string;
    /**
     * What to do about it.
     */
    remedy: string;
    /**
     * Id of the request, as in the header X-Request-Id.
     */
    requestId?: string;
    /**
     * Every field at fault.
     */
    errors?: Array<FieldProblem>;
};

export type Rate = {
    /**
     * Units in a second.
     */
    perSecond: number;
    /**
     * Units that may come at once after a rest. Absent: what flows in a tenth of a second. Least: what flows in a fiftieth.
     */
    burst?: number;
};

export type ReclaimedMemory = {
    /**
     * Bytes that the host has back.
     */
    releasedBytes: number;
    /**
     * Whether the guest said that there is no more. Otherwise it did not answer, or was not done, within 4 seconds.
     */
    complete: boolean;
};

export type RestartPolicy = {
    /**
     * `on-failure` restarts after a crash, a lost worker and a host reboot; `always` also after a guest power-off.
     */
    mode: 'never' | 'on-failure' | 'always';
    /**
     * Attempts in a row before it stays failed.
     */
    maxRetries?: number;
    /**
     * Seconds before the first attempt; doubled for each further one, at most 300.
     */
    backoffSeconds?: number;
};

export type Share = {
    /**
     * What the guest mounts it by: `mount -t virtiofs TAG PLACE`.
     */
    tag: string;
    /**
     * Absolute path of the folder on the host, below one of those that the host lets machines share.
     */
    path: string;
    /**
     * Whether the guest may only read it.
     */
    readOnly?: boolean;
};

export type StateReason = {
    /**
     * Stable code, for example `worker.gone` or `guest.panic`.
     */
    code: string;
    /**
     * What happened.
     */
    detail: string;
    /**
     * What to do about it.
     */
    remedy: string;
    /**
     * Registers at that moment of the CPU that `detail` names, as hexadecimal texts. Absent where they are lost: at a triple fault KVM on processors by AMD resets the CPU first.
     */
    registers?: {
        [key: string]: string;
    };
};

export type StopMachine = {
    /**
     * Seconds the guest has to power off after the ACPI power button.
     */
    timeoutSeconds?: number;
    /**
     * Whether the machine is killed when the time is over; otherwise the operation fails.
     */
    thenKill?: boolean;
};

export type StopPool = {
    /**
     * Also when its server does not answer, or something of the host has files of it open: the mount goes, and what was not yet written through it is lost. Machines that use it have to be stopped or killed all the same.
     */
    force?: boolean;
};

export type Target = {
    /**
     * Kind of the resource.
     */
    kind: 'machine' | 'image' | 'network' | 'volume' | 'pool' | 'operation' | 'key' | 'host';
    /**
     * Id of the resource.
     */
    id: string;
    /**
     * Name of the resource at that time.
     */
    name?: string;
};

export type Throttle = {
    /**
     * Bytes.
     */
    bytes?: Rate;
    /**
     * Operations, whatever their size: requests to a disk, frames of an interface.
     */
    operations?: Rate;
    /**
     * One of the `throttleGroups` of the machine; then there are no other limits.
     */
    group?: string;
};

export type ThrottleGroup = {
    /**
     * Name of the group within the machine.
     */
    name: string;
    /**
     * What all its devices may do together.
     */
    limits: Limits;
};

export type UpdateBalloon = {
    /**
     * What the guest shall give up, in MiB; it keeps 16 MiB at least. A guest that runs hears of it.
     */
    targetMiB: number;
};

export type UpdateInterface = {
    /**
     * Whether the cable is plugged in. A guest that runs hears of it.
     */
    link: 'up' | 'down';
};

export type UpdateMachine = {
    /**
     * Renames it, while it is stopped: it is also its host name on its networks.
     */
    name?: string;
    /**
     * Virtual CPUs, 1 to 64; changed while it is stopped.
     */
    cpus?: number;
    /**
     * Memory in MiB: even, at least 16; changed while it is stopped.
     */
    memoryMiB?: number;
    /**
     * Anything worth knowing about it; empty for nothing.
     */
    notes?: string;
    /**
     * Whether it may not be deleted, not by force either.
     */
    protected?: boolean;
    /**
     * Replaces all labels.
     */
    labels?: {
        [key: string]: string;
    };
    /**
     * Replaces what cloud-init is told, while the machine is stopped. It does most of it at the first start of a guest alone.
     */
    cloudInit?: CloudInit;
    /**
     * Replaces the restart policy.
     */
    restartPolicy?: RestartPolicy;
};

export type UpdateNetwork = {
    /**
     * MTU of its links, which machines are told of by their interfaces and by DHCP; null: 1500, and nobody is told. Machines that run keep to what they were told until they ask again.
     */
    mtu?: number | null;
    /**
     * Domain of the names of its machines, which DNS knows on the network: `<machine>.<domain>`. Lower case.
     */
    domain?: string;
    /**
     * Whether machines are kept from each other, and reach only what is beyond them.
     */
    isolateMachines?: boolean;
    /**
     * Whether machines may send only from the MAC address of their interface and the IPv4 address that is kept for it; IPv6 stays on the link. A bridge or containers with addresses of their own in a guest need it off.
     */
    antiSpoofing?: boolean;
    /**
     * Replaces all labels.
     */
    labels?: {
        [key: string]: string;
    };
};

export type UpdatePool = {
    /**
     * Whether it is started after a restart of the host.
     */
    autostart?: boolean;
    /**
     * Percent of the capacity that are kept free.
     */
    guardPercent?: number;
    /**
     * How many times its capacity volumes may have together; null: any number. What is promised already stays.
     */
    overcommitRatio?: number | null;
};

export type UpdateThrottle = {
    /**
     * Whose limits: a disk, what an interface receives or transmits, the random number generator, or a group.
     */
    kind: 'disk' | 'receive' | 'transmit' | 'rng' | 'group';
    /**
     * Name of the disk, interface or group. Absent with `rng`.
     */
    name?: string;
    /**
     * All limits: those that are absent end.
     */
    limits: Limits;
};

export type UpdateVolume = {
    /**
     * Size in MiB: never smaller than it is. A guest that runs is told at once.
     */
    sizeMiB: number;
};

export type UserNetwork = {
    /**
     * Ports of the host that lead into the guest; at most 64. Default: none, and nobody reaches the guest.
     */
    forwards?: Array<Forward>;
};

export type Volume = {
    /**
     * Id.
     */
    id: string;
    /**
     * Unique name; of one that was made with a machine `<machine>-<disk>`, if that was free.
     */
    name: string;
    /**
     * Labels: at most 64 pairs of texts; lists can be filtered by them.
     */
    labels: {
        [key: string]: string;
    };
    /**
     * Grows with each change of what was asked for; the ETag is `W/"<generation>"`.
     */
    generation: number;
    /**
     * Name of its pool.
     */
    pool: string;
    /**
     * Size in bytes.
     */
    sizeBytes: number;
    /**
     * Format on the pool. `qcow2` with `backingImage`: a linked clone, which holds only what differs from its image. `raw` with `backingImage`: that image.
     */
    format: 'raw' | 'qcow2';
    /**
     * Id of the image that a linked clone reads what its guest has not written, or that a shared one is. It cannot be deleted meanwhile.
     */
    backingImage?: string;
    /**
     * Id of the machine that holds it.
     */
    machine?: string;
    /**
     * State. Only one that is `ready` is whole.
     */
    state: 'creating' | 'ready' | 'moving' | 'deleting';
    /**
     * When it was asked for.
     */
    createdAt: string;
};

export type VolumePage = {
    items: Array<Volume>;
    /**
     * Give it as `cursor` to get the next page; absent on the last one.
     */
    nextCursor?: string;
};

export type VolumeSource = {
    /**
     * Image of kind `disk`: id or name.
     */
    image?: string;
    /**
     * Volume (id or name) that is copied, from any pool; its machine is stopped, and stays so meanwhile.
     */
    volume?: string;
    /**
     * `full`: a copy. `linked`: at once and without space; it holds only what differs from the image, which stays as long.
     */
    clone?: 'full' | 'linked';
};

export type Vsock = {
    /**
     * Context id of the guest, 3 to 4294967294. It need not be unique on the host.
     */
    cid?: number;
    /**
     * Most connections and waiting programs together.
     */
    maxConnections?: number;
};

export type WatchdogSpec = {
    /**
     * What follows when it does not: the machine starts again, ends, stays paused, or goes on. An event `machine.watchdog` tells of it.
     */
    action?: 'reset' | 'poweroff' | 'pause' | 'report';
};

export type WhoAmI = {
    /**
     * Id of the key.
     */
    id: string;
    /**
     * Name of the key.
     */
    name: string;
    /**
     * Role.
     */
    role: 'admin' | 'operator' | 'viewer';
};

export type HealthLiveData = {
    body?: never;
    path?: never;
    query?: never;
    url: '/health/live';
};

export type HealthLiveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type HealthLiveError = HealthLiveErrors[keyof HealthLiveErrors];

export type HealthLiveResponses = {
    /**
     * It does.
     */
    200: Health;
};

export type HealthLiveResponse = HealthLiveResponses[keyof HealthLiveResponses];

export type HealthReadyData = {
    body?: never;
    path?: never;
    query?: never;
    url: '/health/ready';
};

export type HealthReadyErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type HealthReadyError = HealthReadyErrors[keyof HealthReadyErrors];

export type HealthReadyResponses = {
    /**
     * Ready.
     */
    200: Health;
};

export type HealthReadyResponse = HealthReadyResponses[keyof HealthReadyResponses];

export type HealthMetricsData = {
    body?: never;
    path?: never;
    query?: never;
    url: '/metrics';
};

export type HealthMetricsErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type HealthMetricsError = HealthMetricsErrors[keyof HealthMetricsErrors];

export type HealthMetricsResponses = {
    /**
     * Metrics; without a key only from the loopback address.
     */
    200: string;
};

export type HealthMetricsResponse = HealthMetricsResponses[keyof HealthMetricsResponses];

export type HealthOpenapiData = {
    body?: never;
    path?: never;
    query?: never;
    url: '/openapi.json';
};

export type HealthOpenapiErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type HealthOpenapiError = HealthOpenapiErrors[keyof HealthOpenapiErrors];

export type HealthOpenapiResponses = {
    /**
     * The document.
     */
    200: {
        [key: string]: unknown;
    };
};

export type HealthOpenapiResponse = HealthOpenapiResponses[keyof HealthOpenapiResponses];

export type AuditListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
    };
    url: '/v1/audit';
};

export type AuditListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type AuditListError = AuditListErrors[keyof AuditListErrors];

export type AuditListResponses = {
    /**
     * One page, oldest first.
     */
    200: AuditPage;
};

export type AuditListResponse = AuditListResponses[keyof AuditListResponses];

export type EventsFollowData = {
    body?: never;
    headers?: {
        /**
         * Go on after the event of this number.
         */
        'Last-Event-ID'?: string;
    };
    path?: never;
    query?: {
        /**
         * Begin after the event of this number; without it the stream begins now.
         */
        after?: number;
        /**
         * Only these kinds, separated by commas; `machine.*` stands for all of a group.
         */
        kinds?: string;
        /**
         * Only events of the resource of this id.
         */
        target?: string;
    };
    url: '/v1/events';
};

export type EventsFollowErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_query`: A query parameter is not valid.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `events.too_old`: The events asked for are no longer kept.
     */
    410: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type EventsFollowError = EventsFollowErrors[keyof EventsFollowErrors];

export type EventsFollowResponses = {
    /**
     * A stream: `id` is the sequence number, `event` the kind, `data` an Event as JSON. A message of an `id` alone comes first and every 15 s: the place to resume from. A listener that does not read for 60 s while events wait is disconnected. Events of API keys (`key.*`) are told to administrators alone.
     */
    200: string;
};

export type EventsFollowResponse = EventsFollowResponses[keyof EventsFollowResponses];

export type HostsListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
    };
    url: '/v1/hosts';
};

export type HostsListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type HostsListError = HostsListErrors[keyof HostsListErrors];

export type HostsListResponses = {
    /**
     * One page.
     */
    200: HostPage;
};

export type HostsListResponse = HostsListResponses[keyof HostsListResponses];

export type HostsGetData = {
    body?: never;
    path: {
        /**
         * Id or name of the host.
         */
        host: string;
    };
    query?: never;
    url: '/v1/hosts/{host}';
};

export type HostsGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `host.not_found`: There is no such host.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type HostsGetError = HostsGetErrors[keyof HostsGetErrors];

export type HostsGetResponses = {
    /**
     * The host.
     */
    200: Host;
};

export type HostsGetResponse = HostsGetResponses[keyof HostsGetResponses];

export type HostsDoctorData = {
    body?: never;
    path: {
        /**
         * Id or name of the host.
         */
        host: string;
    };
    query?: never;
    url: '/v1/hosts/{host}/doctor';
};

export type HostsDoctorErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `host.not_found`: There is no such host.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type HostsDoctorError = HostsDoctorErrors[keyof HostsDoctorErrors];

export type HostsDoctorResponses = {
    /**
     * A report, at most 2 s old.
     */
    200: HostReport;
};

export type HostsDoctorResponse = HostsDoctorResponses[keyof HostsDoctorResponses];

export type ImagesListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
        /**
         * Only the row of this name.
         */
        name?: string;
        /**
         * Only rows that have all these labels: `key=value,key2=value2`.
         */
        labels?: string;
    };
    url: '/v1/images';
};

export type ImagesListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type ImagesListError = ImagesListErrors[keyof ImagesListErrors];

export type ImagesListResponses = {
    /**
     * One page.
     */
    200: ImagePage;
};

export type ImagesListResponse = ImagesListResponses[keyof ImagesListResponses];

export type ImagesImportData = {
    body: ImportImage;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path?: never;
    query?: never;
    url: '/v1/images';
};

export type ImagesImportErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_query`: A query parameter is not valid.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     * `file.outside_roots`: Files may not be imported from there.
     */
    403: Problem;
    /**
     * `image.name_taken`: An image of this name exists.
     * `operation.cancelled`: The operation was cancelled.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `image.format_mismatch`: The file is not of the format given.
     * `image.truncated`: The file is shorter than its header says.
     * `image.checksum_mismatch`: The checksum does not match.
     * `image.corrupt`: The image is damaged.
     * `image.source_refused`: Images may not be downloaded from there.
     * `image.backing`: The image needs files beside it.
     * `image.wrong_kind`: The image is of another kind.
     * `file.missing`: There is no such file.
     * `file.not_regular`: The path is not a regular file.
     * `file.denied`: The file may not be read.
     * `request.invalid_name`: A name is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `image.source_failed`: The download failed.
     */
    502: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `pool.full`: The storage pool is full.
     */
    507: Problem;
};

export type ImagesImportError = ImagesImportErrors[keyof ImagesImportErrors];

export type ImagesImportResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type ImagesImportResponse = ImagesImportResponses[keyof ImagesImportResponses];

export type ImagesRemoveData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path: {
        /**
         * Id or name of the image.
         */
        image: string;
    };
    query?: never;
    url: '/v1/images/{image}';
};

export type ImagesRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `image.not_found`: There is no such image.
     */
    404: Problem;
    /**
     * `image.in_use`: The image is in use.
     * `image.not_ready`: The image is not ready.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type ImagesRemoveError = ImagesRemoveErrors[keyof ImagesRemoveErrors];

export type ImagesRemoveResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type ImagesRemoveResponse = ImagesRemoveResponses[keyof ImagesRemoveResponses];

export type ImagesGetData = {
    body?: never;
    path: {
        /**
         * Id or name of the image.
         */
        image: string;
    };
    query?: never;
    url: '/v1/images/{image}';
};

export type ImagesGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `image.not_found`: There is no such image.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type ImagesGetError = ImagesGetErrors[keyof ImagesGetErrors];

export type ImagesGetResponses = {
    /**
     * The image.
     */
    200: Image;
};

export type ImagesGetResponse = ImagesGetResponses[keyof ImagesGetResponses];

export type ImagesUploadData = {
    body: Blob | File;
    path: {
        /**
         * Name of the new image.
         */
        image: string;
    };
    query: {
        /**
         * What it is.
         */
        kind: 'kernel' | 'initrd' | 'disk';
        /**
         * Format of the file; it is checked, never guessed.
         */
        format: 'elf' | 'bzimage' | 'raw' | 'initrd' | 'qcow2' | 'vmdk' | 'vhd' | 'vhdx' | 'vdi';
        /**
         * SHA-256 the content must have.
         */
        sha256?: string;
        /**
         * Labels of the new image: `key=value,key2=value2`.
         */
        labels?: string;
    };
    url: '/v1/images/{image}/content';
};

export type ImagesUploadErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     * `file.outside_roots`: Files may not be imported from there.
     */
    403: Problem;
    /**
     * `image.name_taken`: An image of this name exists.
     * `operation.cancelled`: The operation was cancelled.
     */
    409: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `image.format_mismatch`: The file is not of the format given.
     * `image.truncated`: The file is shorter than its header says.
     * `image.checksum_mismatch`: The checksum does not match.
     * `image.corrupt`: The image is damaged.
     * `image.source_refused`: Images may not be downloaded from there.
     * `image.backing`: The image needs files beside it.
     * `image.wrong_kind`: The image is of another kind.
     * `file.missing`: There is no such file.
     * `file.not_regular`: The path is not a regular file.
     * `file.denied`: The file may not be read.
     * `request.invalid_name`: A name is not valid.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `image.source_failed`: The download failed.
     */
    502: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `pool.full`: The storage pool is full.
     */
    507: Problem;
};

export type ImagesUploadError = ImagesUploadErrors[keyof ImagesUploadErrors];

export type ImagesUploadResponses = {
    /**
     * The image, ready to use.
     */
    201: Image;
};

export type ImagesUploadResponse = ImagesUploadResponses[keyof ImagesUploadResponses];

export type KeysListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
    };
    url: '/v1/keys';
};

export type KeysListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type KeysListError = KeysListErrors[keyof KeysListErrors];

export type KeysListResponses = {
    /**
     * One page.
     */
    200: KeyPage;
};

export type KeysListResponse = KeysListResponses[keyof KeysListResponses];

export type KeysCreateData = {
    body: CreateKey;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path?: never;
    query?: never;
    url: '/v1/keys';
};

export type KeysCreateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `key.name_taken`: An API key of this name exists.
     * `key.secret_shown_once`: The secret of the key was shown already.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.invalid_name`: A name is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type KeysCreateError = KeysCreateErrors[keyof KeysCreateErrors];

export type KeysCreateResponses = {
    /**
     * The key; its secret is shown this once.
     */
    201: NewKey;
};

export type KeysCreateResponse = KeysCreateResponses[keyof KeysCreateResponses];

export type KeysRemoveData = {
    body?: never;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path: {
        /**
         * Id or name of the key.
         */
        key: string;
    };
    query?: never;
    url: '/v1/keys/{key}';
};

export type KeysRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `key.not_found`: There is no such API key.
     */
    404: Problem;
    /**
     * `key.last_admin`: The last admin key cannot be deleted.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type KeysRemoveError = KeysRemoveErrors[keyof KeysRemoveErrors];

export type KeysRemoveResponses = {
    /**
     * It is gone.
     */
    204: void;
};

export type KeysRemoveResponse = KeysRemoveResponses[keyof KeysRemoveResponses];

export type MachinesListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
        /**
         * Only the row of this name.
         */
        name?: string;
        /**
         * Only rows that have all these labels: `key=value,key2=value2`.
         */
        labels?: string;
    };
    url: '/v1/machines';
};

export type MachinesListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type MachinesListError = MachinesListErrors[keyof MachinesListErrors];

export type MachinesListResponses = {
    /**
     * One page.
     */
    200: MachinePage;
};

export type MachinesListResponse = MachinesListResponses[keyof MachinesListResponses];

export type MachinesCreateData = {
    body: CreateMachine;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path?: never;
    query?: never;
    url: '/v1/machines';
};

export type MachinesCreateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     * `share.forbidden`: The folder is in none that machines may share.
     */
    403: Problem;
    /**
     * `image.not_found`: There is no such image.
     * `volume.not_found`: There is no such volume.
     * `network.not_found`: There is no such network.
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `machine.name_taken`: A machine of this name exists.
     * `image.not_ready`: The image is not ready.
     * `volume.locked`: The volume is in use by another machine.
     * `network.mac_taken`: The MAC address is in use on this network.
     * `network.address_taken`: The address is in use on this network.
     * `host.memory_overcommitted`: The machines would have more memory than the host.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `image.not_found`: There is no such image.
     * `image.wrong_kind`: The image is of another kind.
     * `volume.not_found`: There is no such volume.
     * `network.not_found`: There is no such network.
     * `network.address_invalid`: The address is none of the network.
     * `spec.invalid`: The machine specification is not valid.
     * `spec.memory_too_small`: The machine has too little memory.
     * `spec.memory_too_large`: The machine asks for more memory than there is.
     * `spec.memory_unaligned`: The memory size is not aligned.
     * `spec.cpus_out_of_range`: The number of CPUs is out of range.
     * `spec.cpu_topology`: The CPU topology is not valid.
     * `spec.cpu_feature`: A CPU feature is not known.
     * `spec.pin_invalid`: The pinning of CPUs is not valid.
     * `spec.memory_conflict`: Two options of the memory exclude each other.
     * `spec.balloon_invalid`: The balloon is not valid.
     * `spec.numa_invalid`: The NUMA nodes are not valid.
     * `spec.mac_invalid`: The MAC address is not valid.
     * `spec.network_conflict`: The interface cannot have this network.
     * `spec.forward_invalid`: A forward is not valid.
     * `spec.share_invalid`: A shared folder is not possible.
     * `spec.spoof_guard_unsupported`: This backend cannot keep spoofed addresses back.
     * `spec.command_line_invalid`: The kernel command line is not valid.
     * `spec.disk_invalid`: A disk is not valid.
     * `spec.duplicate_name`: A name is used twice.
     * `pool.not_found`: There is no such pool.
     * `pool.unsupported`: The driver of the storage pool cannot do that.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.kvm_missing`: This host has no /dev/kvm.
     * `host.kvm_denied`: /dev/kvm may not be opened.
     * `host.kvm_unsupported`: This host cannot run virtual machines.
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `network.full`: The network has no free address.
     * `pool.full`: The storage pool is full.
     * `pool.overcommitted`: The storage pool has promised all that it may.
     */
    507: Problem;
};

export type MachinesCreateError = MachinesCreateErrors[keyof MachinesCreateErrors];

export type MachinesCreateResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesCreateResponse = MachinesCreateResponses[keyof MachinesCreateResponses];

export type MachinesRemoveData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: {
        /**
         * Also delete a machine that runs, which is killed first, and one whose pool the host cannot reach: what of its disks is there stays there.
         */
        force?: boolean;
    };
    url: '/v1/machines/{machine}';
};

export type MachinesRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `machine.protected`: The machine is protected against deletion.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesRemoveError = MachinesRemoveErrors[keyof MachinesRemoveErrors];

export type MachinesRemoveResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesRemoveResponse = MachinesRemoveResponses[keyof MachinesRemoveResponses];

export type MachinesGetData = {
    body?: never;
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}';
};

export type MachinesGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type MachinesGetError = MachinesGetErrors[keyof MachinesGetErrors];

export type MachinesGetResponses = {
    /**
     * The machine.
     */
    200: Machine;
};

export type MachinesGetResponse = MachinesGetResponses[keyof MachinesGetResponses];

export type MachinesUpdateData = {
    body?: UpdateMachine;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}';
};

export type MachinesUpdateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.name_taken`: A machine of this name exists.
     * `machine.state_conflict`: The machine is in the wrong state.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `spec.cpus_out_of_range`: The number of CPUs is out of range.
     * `spec.cpu_topology`: The CPU topology is not valid.
     * `spec.pin_invalid`: The pinning of CPUs is not valid.
     * `spec.memory_too_small`: The machine has too little memory.
     * `spec.memory_too_large`: The machine asks for more memory than there is.
     * `spec.memory_unaligned`: The memory size is not aligned.
     * `spec.numa_invalid`: The NUMA nodes are not valid.
     * `spec.balloon_invalid`: The balloon is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesUpdateError = MachinesUpdateErrors[keyof MachinesUpdateErrors];

export type MachinesUpdateResponses = {
    /**
     * The machine as it is now.
     */
    200: Machine;
};

export type MachinesUpdateResponse = MachinesUpdateResponses[keyof MachinesUpdateResponses];

export type MachinesBalloonData = {
    body?: never;
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/balloon';
};

export type MachinesBalloonErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.no_balloon`: The machine has no balloon.
     * `machine.state_conflict`: The machine is in the wrong state.
     */
    409: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `worker.gone`: The worker process of the machine is gone.
     * `worker.busy`: Another client controls the worker process.
     */
    503: Problem;
};

export type MachinesBalloonError = MachinesBalloonErrors[keyof MachinesBalloonErrors];

export type MachinesBalloonResponses = {
    /**
     * The balloon; a guest that runs is asked, for a second at most.
     */
    200: Balloon;
};

export type MachinesBalloonResponse = MachinesBalloonResponses[keyof MachinesBalloonResponses];

export type MachinesUpdateBalloonData = {
    body: UpdateBalloon;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/balloon';
};

export type MachinesUpdateBalloonErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `machine.no_balloon`: The machine has no balloon.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `spec.balloon_invalid`: The balloon is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     * `worker.busy`: Another client controls the worker process.
     */
    503: Problem;
    /**
     * `machine.stuck`: A device of the machine hangs.
     */
    504: Problem;
};

export type MachinesUpdateBalloonError = MachinesUpdateBalloonErrors[keyof MachinesUpdateBalloonErrors];

export type MachinesUpdateBalloonResponses = {
    /**
     * The machine as it is now.
     */
    200: Machine;
};

export type MachinesUpdateBalloonResponse = MachinesUpdateBalloonResponses[keyof MachinesUpdateBalloonResponses];

export type MachinesReclaimMemoryData = {
    body?: NoBody;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/balloon/reclaim';
};

export type MachinesReclaimMemoryErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.no_balloon`: The machine has no balloon.
     * `machine.state_conflict`: The machine is in the wrong state.
     * `machine.no_hinting`: The guest does not tell what it does not use.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `worker.gone`: The worker process of the machine is gone.
     * `worker.busy`: Another client controls the worker process.
     */
    503: Problem;
    /**
     * `machine.stuck`: A device of the machine hangs.
     */
    504: Problem;
};

export type MachinesReclaimMemoryError = MachinesReclaimMemoryErrors[keyof MachinesReclaimMemoryErrors];

export type MachinesReclaimMemoryResponses = {
    /**
     * What the guest gave back, within 4 seconds.
     */
    200: ReclaimedMemory;
};

export type MachinesReclaimMemoryResponse = MachinesReclaimMemoryResponses[keyof MachinesReclaimMemoryResponses];

export type MachinesAttachData = {
    body?: never;
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/console';
};

export type MachinesAttachErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     * `console.port_not_found`: The machine has no console of that name.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type MachinesAttachError = MachinesAttachErrors[keyof MachinesAttachErrors];

export type MachineDisksAttachData = {
    body: Disk;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/disks';
};

export type MachineDisksAttachErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     * `volume.not_found`: There is no such volume.
     * `image.not_found`: There is no such image.
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `image.not_ready`: The image is not ready.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     * `image.not_found`: There is no such image.
     * `image.wrong_kind`: The image is of another kind.
     * `spec.disk_invalid`: A disk is not valid.
     * `spec.duplicate_name`: A name is used twice.
     * `spec.throttle_group`: The device cannot share these limits.
     * `pool.not_found`: There is no such pool.
     * `pool.unsupported`: The driver of the storage pool cannot do that.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `pool.overcommitted`: The storage pool has promised all that it may.
     * `pool.full`: The storage pool is full.
     */
    507: Problem;
};

export type MachineDisksAttachError = MachineDisksAttachErrors[keyof MachineDisksAttachErrors];

export type MachineDisksAttachResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachineDisksAttachResponse = MachineDisksAttachResponses[keyof MachineDisksAttachResponses];

export type MachineDisksDetachData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
        /**
         * Name of one of its disks.
         */
        disk: string;
    };
    query?: {
        /**
         * Whether its volume is deleted as well.
         */
        deleteVolume?: boolean;
    };
    url: '/v1/machines/{machine}/disks/{disk}';
};

export type MachineDisksDetachErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     * `disk.not_found`: The machine has no such disk.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachineDisksDetachError = MachineDisksDetachErrors[keyof MachineDisksDetachErrors];

export type MachineDisksDetachResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachineDisksDetachResponse = MachineDisksDetachResponses[keyof MachineDisksDetachResponses];

export type MachinesUpdateInterfaceData = {
    body: UpdateInterface;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
        /**
         * Name of one of its interfaces.
         */
        interface: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/interfaces/{interface}';
};

export type MachinesUpdateInterfaceErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     * `interface.not_found`: The machine has no such interface.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     * `worker.busy`: Another client controls the worker process.
     */
    503: Problem;
    /**
     * `machine.stuck`: A device of the machine hangs.
     */
    504: Problem;
};

export type MachinesUpdateInterfaceError = MachinesUpdateInterfaceErrors[keyof MachinesUpdateInterfaceErrors];

export type MachinesUpdateInterfaceResponses = {
    /**
     * The machine as it is now.
     */
    200: Machine;
};

export type MachinesUpdateInterfaceResponse = MachinesUpdateInterfaceResponses[keyof MachinesUpdateInterfaceResponses];

export type MachinesAnnounceData = {
    body?: NoBody;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
        /**
         * Name of one of its interfaces.
         */
        interface: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/interfaces/{interface}/announce';
};

export type MachinesAnnounceErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     * `interface.not_found`: The machine has no such interface.
     */
    404: Problem;
    /**
     * `interface.no_announcement`: The guest cannot announce itself there.
     * `machine.state_conflict`: The machine is in the wrong state.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `worker.gone`: The worker process of the machine is gone.
     * `worker.busy`: Another client controls the worker process.
     */
    503: Problem;
    /**
     * `machine.stuck`: A device of the machine hangs.
     */
    504: Problem;
};

export type MachinesAnnounceError = MachinesAnnounceErrors[keyof MachinesAnnounceErrors];

export type MachinesAnnounceResponses = {
    /**
     * The guest is asked. One that is paused hears of it when it goes on.
     */
    204: void;
};

export type MachinesAnnounceResponse = MachinesAnnounceResponses[keyof MachinesAnnounceResponses];

export type MachinesKillData = {
    body?: NoBody;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/kill';
};

export type MachinesKillErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesKillError = MachinesKillErrors[keyof MachinesKillErrors];

export type MachinesKillResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesKillResponse = MachinesKillResponses[keyof MachinesKillResponses];

export type MachinesLogsData = {
    body?: never;
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: {
        /**
         * Only the last so many bytes.
         */
        tailBytes?: number;
        /**
         * Only bytes from this offset of the console stream on.
         */
        offset?: number;
    };
    url: '/v1/machines/{machine}/logs';
};

export type MachinesLogsErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type MachinesLogsError = MachinesLogsErrors[keyof MachinesLogsErrors];

export type MachinesLogsResponses = {
    /**
     * Console output as raw bytes, also of a stopped machine; the header `X-Console-Offset` has the offset of the first byte.
     */
    200: string;
};

export type MachinesLogsResponse = MachinesLogsResponses[keyof MachinesLogsResponses];

export type MachinesMetricsData = {
    body?: never;
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/metrics';
};

export type MachinesMetricsErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     */
    409: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type MachinesMetricsError = MachinesMetricsErrors[keyof MachinesMetricsErrors];

export type MachinesMetricsResponses = {
    /**
     * Counters.
     */
    200: MachineMetrics;
};

export type MachinesMetricsResponse = MachinesMetricsResponses[keyof MachinesMetricsResponses];

export type MachinesPauseData = {
    body?: NoBody;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/pause';
};

export type MachinesPauseErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesPauseError = MachinesPauseErrors[keyof MachinesPauseErrors];

export type MachinesPauseResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesPauseResponse = MachinesPauseResponses[keyof MachinesPauseResponses];

export type MachinesRestartData = {
    body?: StopMachine;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/restart';
};

export type MachinesRestartErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `machine.no_power_button`: The machine has no power button.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesRestartError = MachinesRestartErrors[keyof MachinesRestartErrors];

export type MachinesRestartResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesRestartResponse = MachinesRestartResponses[keyof MachinesRestartResponses];

export type MachinesResumeData = {
    body?: NoBody;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/resume';
};

export type MachinesResumeErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesResumeError = MachinesResumeErrors[keyof MachinesResumeErrors];

export type MachinesResumeResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesResumeResponse = MachinesResumeResponses[keyof MachinesResumeResponses];

export type MachinesStartData = {
    body?: NoBody;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/start';
};

export type MachinesStartErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `host.memory_overcommitted`: The machines would have more memory than the host.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesStartError = MachinesStartErrors[keyof MachinesStartErrors];

export type MachinesStartResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesStartResponse = MachinesStartResponses[keyof MachinesStartResponses];

export type MachinesStatsData = {
    body?: never;
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/stats';
};

export type MachinesStatsErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     */
    409: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type MachinesStatsError = MachinesStatsErrors[keyof MachinesStatsErrors];

export type MachinesStatsResponses = {
    /**
     * Sums, and the metrics of each part.
     */
    200: MachineStats;
};

export type MachinesStatsResponse = MachinesStatsResponses[keyof MachinesStatsResponses];

export type MachinesStopData = {
    body?: StopMachine;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/stop';
};

export type MachinesStopErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `machine.no_power_button`: The machine has no power button.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type MachinesStopError = MachinesStopErrors[keyof MachinesStopErrors];

export type MachinesStopResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type MachinesStopResponse = MachinesStopResponses[keyof MachinesStopResponses];

export type MachinesUpdateThrottleData = {
    body: UpdateThrottle;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the machine.
         */
        machine: string;
    };
    query?: never;
    url: '/v1/machines/{machine}/throttle';
};

export type MachinesUpdateThrottleErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `machine.not_found`: There is no such machine.
     * `throttle.unknown`: Nothing of the machine has these limits.
     */
    404: Problem;
    /**
     * `machine.state_conflict`: The machine is in the wrong state.
     * `volume.locked`: The volume is in use by another machine.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     * `worker.busy`: Another client controls the worker process.
     */
    503: Problem;
    /**
     * `machine.stuck`: A device of the machine hangs.
     */
    504: Problem;
};

export type MachinesUpdateThrottleError = MachinesUpdateThrottleErrors[keyof MachinesUpdateThrottleErrors];

export type MachinesUpdateThrottleResponses = {
    /**
     * The machine as it is now.
     */
    200: Machine;
};

export type MachinesUpdateThrottleResponse = MachinesUpdateThrottleResponses[keyof MachinesUpdateThrottleResponses];

export type NetworksListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
        /**
         * Only the row of this name.
         */
        name?: string;
        /**
         * Only rows that have all these labels: `key=value,key2=value2`.
         */
        labels?: string;
    };
    url: '/v1/networks';
};

export type NetworksListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type NetworksListError = NetworksListErrors[keyof NetworksListErrors];

export type NetworksListResponses = {
    /**
     * One page.
     */
    200: NetworkPage;
};

export type NetworksListResponse = NetworksListResponses[keyof NetworksListResponses];

export type NetworksDefineData = {
    body: DefineNetwork;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path?: never;
    query?: never;
    url: '/v1/networks';
};

export type NetworksDefineErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.name_taken`: A network of this name exists.
     * `network.subnet_overlaps`: The subnet is in use.
     * `network.too_many`: There are too many networks.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `network.config_invalid`: The configuration of the network is not valid.
     * `network.subnet_invalid`: The addresses of the network are not usable.
     * `request.invalid_name`: A name is not valid.
     * `request.invalid_labels`: The labels are not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `network.no_free_subnet`: No subnet is free on this host.
     */
    507: Problem;
};

export type NetworksDefineError = NetworksDefineErrors[keyof NetworksDefineErrors];

export type NetworksDefineResponses = {
    /**
     * The network. The host has it while machines use it.
     */
    201: Network;
};

export type NetworksDefineResponse = NetworksDefineResponses[keyof NetworksDefineResponses];

export type NetworksRemoveData = {
    body?: never;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the network.
         */
        network: string;
    };
    query?: never;
    url: '/v1/networks/{network}';
};

export type NetworksRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.not_found`: There is no such network.
     */
    404: Problem;
    /**
     * `network.in_use`: Machines are on the network.
     * `network.built_in`: The network belongs to every installation.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type NetworksRemoveError = NetworksRemoveErrors[keyof NetworksRemoveErrors];

export type NetworksRemoveResponses = {
    /**
     * It is deleted.
     */
    204: void;
};

export type NetworksRemoveResponse = NetworksRemoveResponses[keyof NetworksRemoveResponses];

export type NetworksGetData = {
    body?: never;
    path: {
        /**
         * Id or name of the network.
         */
        network: string;
    };
    query?: never;
    url: '/v1/networks/{network}';
};

export type NetworksGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.not_found`: There is no such network.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type NetworksGetError = NetworksGetErrors[keyof NetworksGetErrors];

export type NetworksGetResponses = {
    /**
     * The network.
     */
    200: Network;
};

export type NetworksGetResponse = NetworksGetResponses[keyof NetworksGetResponses];

export type NetworksUpdateData = {
    body?: UpdateNetwork;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the network.
         */
        network: string;
    };
    query?: never;
    url: '/v1/networks/{network}';
};

export type NetworksUpdateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.not_found`: There is no such network.
     */
    404: Problem;
    /**
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `network.not_found`: There is no such network.
     * `request.invalid_labels`: The labels are not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type NetworksUpdateError = NetworksUpdateErrors[keyof NetworksUpdateErrors];

export type NetworksUpdateResponses = {
    /**
     * The network as it is now.
     */
    200: Network;
};

export type NetworksUpdateResponse = NetworksUpdateResponses[keyof NetworksUpdateResponses];

export type NetworkForwardsListData = {
    body?: never;
    path: {
        /**
         * Id or name of the network.
         */
        network: string;
    };
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
    };
    url: '/v1/networks/{network}/forwards';
};

export type NetworkForwardsListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.not_found`: There is no such network.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type NetworkForwardsListError = NetworkForwardsListErrors[keyof NetworkForwardsListErrors];

export type NetworkForwardsListResponses = {
    /**
     * One page.
     */
    200: NetworkForwardPage;
};

export type NetworkForwardsListResponse = NetworkForwardsListResponses[keyof NetworkForwardsListResponses];

export type NetworkForwardsAddData = {
    body: AddForward;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the network.
         */
        network: string;
    };
    query?: never;
    url: '/v1/networks/{network}/forwards';
};

export type NetworkForwardsAddErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.not_found`: There is no such network.
     */
    404: Problem;
    /**
     * `forward.unsupported`: The network forwards no ports.
     * `forward.too_many`: There are too many forwards.
     * `forward.port_busy`: A port of the host is in use.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `network.not_found`: There is no such network.
     * `forward.machine_invalid`: The machine is not on the network.
     * `forward.address_unknown`: The host has not the address to forward from.
     * `spec.forward_invalid`: A forward is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type NetworkForwardsAddError = NetworkForwardsAddErrors[keyof NetworkForwardsAddErrors];

export type NetworkForwardsAddResponses = {
    /**
     * The forward.
     */
    201: NetworkForward;
};

export type NetworkForwardsAddResponse = NetworkForwardsAddResponses[keyof NetworkForwardsAddResponses];

export type NetworkForwardsRemoveData = {
    body?: never;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the network.
         */
        network: string;
        /**
         * Id of the forward.
         */
        forward: string;
    };
    query?: never;
    url: '/v1/networks/{network}/forwards/{forward}';
};

export type NetworkForwardsRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `network.not_found`: There is no such network.
     * `forward.not_found`: There is no such forward.
     */
    404: Problem;
    /**
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type NetworkForwardsRemoveError = NetworkForwardsRemoveErrors[keyof NetworkForwardsRemoveErrors];

export type NetworkForwardsRemoveResponses = {
    /**
     * It is gone.
     */
    204: void;
};

export type NetworkForwardsRemoveResponse = NetworkForwardsRemoveResponses[keyof NetworkForwardsRemoveResponses];

export type OperationsListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
        /**
         * Only operations on the resource of this id.
         */
        target?: string;
        /**
         * Only operations in this state.
         */
        state?: 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled';
    };
    url: '/v1/operations';
};

export type OperationsListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type OperationsListError = OperationsListErrors[keyof OperationsListErrors];

export type OperationsListResponses = {
    /**
     * One page.
     */
    200: OperationPage;
};

export type OperationsListResponse = OperationsListResponses[keyof OperationsListResponses];

export type OperationsGetData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
    };
    path: {
        /**
         * Id of the operation.
         */
        operation: string;
    };
    query?: never;
    url: '/v1/operations/{operation}';
};

export type OperationsGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `operation.not_found`: There is no such operation.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type OperationsGetError = OperationsGetErrors[keyof OperationsGetErrors];

export type OperationsGetResponses = {
    /**
     * The operation.
     */
    200: Operation;
};

export type OperationsGetResponse = OperationsGetResponses[keyof OperationsGetResponses];

export type OperationsCancelData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path: {
        /**
         * Id of the operation.
         */
        operation: string;
    };
    query?: never;
    url: '/v1/operations/{operation}/cancel';
};

export type OperationsCancelErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `operation.not_found`: There is no such operation.
     */
    404: Problem;
    /**
     * `operation.not_cancellable`: The operation cannot be cancelled.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type OperationsCancelError = OperationsCancelErrors[keyof OperationsCancelErrors];

export type OperationsCancelResponses = {
    /**
     * It ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * It is being taken back.
     */
    202: Operation;
};

export type OperationsCancelResponse = OperationsCancelResponses[keyof OperationsCancelResponses];

export type PoolsListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
        /**
         * Only the row of this name.
         */
        name?: string;
    };
    url: '/v1/pools';
};

export type PoolsListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type PoolsListError = PoolsListErrors[keyof PoolsListErrors];

export type PoolsListResponses = {
    /**
     * One page.
     */
    200: PoolPage;
};

export type PoolsListResponse = PoolsListResponses[keyof PoolsListResponses];

export type PoolsDefineData = {
    body: DefinePool;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path?: never;
    query?: never;
    url: '/v1/pools';
};

export type PoolsDefineErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     * `pool.outside_roots`: There may be no storage pools there.
     */
    403: Problem;
    /**
     * `pool.name_taken`: A storage pool of this name exists.
     * `pool.place_taken`: The place holds something else.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `pool.config_invalid`: The configuration of the storage pool is not valid.
     * `pool.place_invalid`: There can be no storage pool at this place.
     * `request.invalid_name`: A name is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type PoolsDefineError = PoolsDefineErrors[keyof PoolsDefineErrors];

export type PoolsDefineResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type PoolsDefineResponse = PoolsDefineResponses[keyof PoolsDefineResponses];

export type PoolsRemoveData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the pool.
         */
        pool: string;
    };
    query?: {
        /**
         * Also when the host cannot reach it: what of it is still there stays there.
         */
        force?: boolean;
    };
    url: '/v1/pools/{pool}';
};

export type PoolsRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `pool.built_in`: The storage pool belongs to every installation.
     * `pool.state_conflict`: The storage pool is in the wrong state.
     * `pool.not_empty`: The storage pool holds volumes.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type PoolsRemoveError = PoolsRemoveErrors[keyof PoolsRemoveErrors];

export type PoolsRemoveResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type PoolsRemoveResponse = PoolsRemoveResponses[keyof PoolsRemoveResponses];

export type PoolsGetData = {
    body?: never;
    path: {
        /**
         * Id or name of the pool.
         */
        pool: string;
    };
    query?: never;
    url: '/v1/pools/{pool}';
};

export type PoolsGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type PoolsGetError = PoolsGetErrors[keyof PoolsGetErrors];

export type PoolsGetResponses = {
    /**
     * The pool.
     */
    200: Pool;
};

export type PoolsGetResponse = PoolsGetResponses[keyof PoolsGetResponses];

export type PoolsUpdateData = {
    body?: UpdatePool;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the pool.
         */
        pool: string;
    };
    query?: never;
    url: '/v1/pools/{pool}';
};

export type PoolsUpdateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `pool.built_in`: The storage pool belongs to every installation.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type PoolsUpdateError = PoolsUpdateErrors[keyof PoolsUpdateErrors];

export type PoolsUpdateResponses = {
    /**
     * The pool as it is now.
     */
    200: Pool;
};

export type PoolsUpdateResponse = PoolsUpdateResponses[keyof PoolsUpdateResponses];

export type PoolsRefreshData = {
    body?: NoBody;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the pool.
         */
        pool: string;
    };
    query?: never;
    url: '/v1/pools/{pool}/refresh';
};

export type PoolsRefreshErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `pool.built_in`: The storage pool belongs to every installation.
     * `pool.state_conflict`: The storage pool is in the wrong state.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type PoolsRefreshError = PoolsRefreshErrors[keyof PoolsRefreshErrors];

export type PoolsRefreshResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type PoolsRefreshResponse = PoolsRefreshResponses[keyof PoolsRefreshResponses];

export type PoolsStartData = {
    body?: NoBody;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the pool.
         */
        pool: string;
    };
    query?: never;
    url: '/v1/pools/{pool}/start';
};

export type PoolsStartErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `pool.built_in`: The storage pool belongs to every installation.
     * `pool.state_conflict`: The storage pool is in the wrong state.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type PoolsStartError = PoolsStartErrors[keyof PoolsStartErrors];

export type PoolsStartResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type PoolsStartResponse = PoolsStartResponses[keyof PoolsStartResponses];

export type PoolsStopData = {
    body?: StopPool;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the pool.
         */
        pool: string;
    };
    query?: never;
    url: '/v1/pools/{pool}/stop';
};

export type PoolsStopErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `pool.built_in`: The storage pool belongs to every installation.
     * `pool.state_conflict`: The storage pool is in the wrong state.
     * `pool.in_use`: Machines use the storage pool.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `pool.not_found`: There is no such pool.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type PoolsStopError = PoolsStopErrors[keyof PoolsStopErrors];

export type PoolsStopResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type PoolsStopResponse = PoolsStopResponses[keyof PoolsStopResponses];

export type VolumesListData = {
    body?: never;
    path?: never;
    query?: {
        /**
         * Rows on a page, 1 to 200.
         */
        limit?: number;
        /**
         * The `nextCursor` of the page before.
         */
        cursor?: string;
        /**
         * Only the row of this name.
         */
        name?: string;
        /**
         * Only rows that have all these labels: `key=value,key2=value2`.
         */
        labels?: string;
    };
    url: '/v1/volumes';
};

export type VolumesListErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_cursor`: The page cursor is not valid.
     * `request.invalid_query`: A query parameter is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type VolumesListError = VolumesListErrors[keyof VolumesListErrors];

export type VolumesListResponses = {
    /**
     * One page.
     */
    200: VolumePage;
};

export type VolumesListResponse = VolumesListResponses[keyof VolumesListResponses];

export type VolumesCreateData = {
    body: CreateVolume;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
    };
    path?: never;
    query?: never;
    url: '/v1/volumes';
};

export type VolumesCreateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `image.not_found`: There is no such image.
     * `volume.not_found`: There is no such volume.
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `volume.name_taken`: A volume of this name exists.
     * `image.not_ready`: The image is not ready.
     * `volume.locked`: The volume is in use by another machine.
     * `volume.in_use`: A machine holds the volume.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `image.not_found`: There is no such image.
     * `image.wrong_kind`: The image is of another kind.
     * `volume.not_found`: There is no such volume.
     * `spec.disk_invalid`: A disk is not valid.
     * `pool.not_found`: There is no such pool.
     * `pool.unsupported`: The driver of the storage pool cannot do that.
     * `request.invalid_name`: A name is not valid.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `pool.overcommitted`: The storage pool has promised all that it may.
     * `pool.full`: The storage pool is full.
     */
    507: Problem;
};

export type VolumesCreateError = VolumesCreateErrors[keyof VolumesCreateErrors];

export type VolumesCreateResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type VolumesCreateResponse = VolumesCreateResponses[keyof VolumesCreateResponses];

export type VolumesRemoveData = {
    body?: never;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the volume.
         */
        volume: string;
    };
    query?: {
        /**
         * Also when the host cannot reach its pool: what of it is there stays there, and is set aside when the pool comes back.
         */
        force?: boolean;
    };
    url: '/v1/volumes/{volume}';
};

export type VolumesRemoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     */
    404: Problem;
    /**
     * `volume.in_use`: A machine holds the volume.
     * `volume.locked`: The volume is in use by another machine.
     * `volume.state_conflict`: The volume is in the wrong state.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
};

export type VolumesRemoveError = VolumesRemoveErrors[keyof VolumesRemoveErrors];

export type VolumesRemoveResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type VolumesRemoveResponse = VolumesRemoveResponses[keyof VolumesRemoveResponses];

export type VolumesGetData = {
    body?: never;
    path: {
        /**
         * Id or name of the volume.
         */
        volume: string;
    };
    query?: never;
    url: '/v1/volumes/{volume}';
};

export type VolumesGetErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     */
    404: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type VolumesGetError = VolumesGetErrors[keyof VolumesGetErrors];

export type VolumesGetResponses = {
    /**
     * The volume.
     */
    200: Volume;
};

export type VolumesGetResponse = VolumesGetResponses[keyof VolumesGetResponses];

export type VolumesUpdateData = {
    body: UpdateVolume;
    headers?: {
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the volume.
         */
        volume: string;
    };
    query?: never;
    url: '/v1/volumes/{volume}';
};

export type VolumesUpdateErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     */
    404: Problem;
    /**
     * `volume.locked`: The volume is in use by another machine.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     * `spec.disk_invalid`: A disk is not valid.
     * `pool.unsupported`: The driver of the storage pool cannot do that.
     * `file.missing`: There is no such file.
     * `disk.size`: The length of a disk is not usable.
     * `image.corrupt`: The image is damaged.
     * `image.backing`: The image needs files beside it.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `pool.unavailable`: The storage pool cannot be reached.
     * `worker.busy`: Another client controls the worker process.
     * `worker.failed`: The worker process failed.
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `machine.stuck`: A device of the machine hangs.
     */
    504: Problem;
    /**
     * `pool.full`: The storage pool is full.
     * `pool.overcommitted`: The storage pool has promised all that it may.
     */
    507: Problem;
};

export type VolumesUpdateError = VolumesUpdateErrors[keyof VolumesUpdateErrors];

export type VolumesUpdateResponses = {
    /**
     * The volume as it is now.
     */
    200: Volume;
};

export type VolumesUpdateResponse = VolumesUpdateResponses[keyof VolumesUpdateResponses];

export type VolumesMoveData = {
    body: MoveVolume;
    headers?: {
        /**
         * `wait=N` holds the answer until the operation ends, at most N (0 to 60) seconds.
         */
        Prefer?: string;
        /**
         * Makes a repeat of this request answer as the first one did; kept for 48 hours.
         */
        'Idempotency-Key'?: string;
        /**
         * ETag that the resource must still have.
         */
        'If-Match'?: string;
    };
    path: {
        /**
         * Id or name of the volume.
         */
        volume: string;
    };
    query?: never;
    url: '/v1/volumes/{volume}/move';
};

export type VolumesMoveErrors = {
    /**
     * `request.malformed`: The request could not be read.
     * `request.invalid_header`: A header is not valid.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     * `pool.not_found`: There is no such pool.
     */
    404: Problem;
    /**
     * `volume.in_use`: A machine holds the volume.
     * `volume.locked`: The volume is in use by another machine.
     * `volume.state_conflict`: The volume is in the wrong state.
     * `pool.not_started`: The storage pool is not started.
     * `idempotency.in_flight`: The first request with this idempotency key still runs.
     */
    409: Problem;
    /**
     * `precondition.failed`: The resource has changed.
     */
    412: Problem;
    /**
     * `request.too_large`: The request body is too large.
     */
    413: Problem;
    /**
     * `request.unsupported_media_type`: The body has the wrong content type.
     */
    415: Problem;
    /**
     * `volume.not_found`: There is no such volume.
     * `spec.disk_invalid`: A disk is not valid.
     * `pool.not_found`: There is no such pool.
     * `request.unknown_field`: A field is not known.
     * `request.missing_field`: A field is missing.
     * `request.invalid_type`: A field has the wrong type.
     * `request.invalid_value`: A field has a value that is not allowed.
     * `request.invalid`: Several fields are not valid.
     * `idempotency.mismatch`: The idempotency key was used for another request.
     */
    422: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
    /**
     * `host.unavailable`: The host agent does not answer.
     */
    503: Problem;
    /**
     * `pool.overcommitted`: The storage pool has promised all that it may.
     * `pool.full`: The storage pool is full.
     */
    507: Problem;
};

export type VolumesMoveError = VolumesMoveErrors[keyof VolumesMoveErrors];

export type VolumesMoveResponses = {
    /**
     * The operation ended within the time of `Prefer: wait`.
     */
    200: Operation;
    /**
     * Accepted; the operation goes on.
     */
    202: Operation;
};

export type VolumesMoveResponse = VolumesMoveResponses[keyof VolumesMoveResponses];

export type KeysWhoamiData = {
    body?: never;
    path?: never;
    query?: never;
    url: '/v1/whoami';
};

export type KeysWhoamiErrors = {
    /**
     * `request.malformed`: The request could not be read.
     */
    400: Problem;
    /**
     * `auth.missing`: The request carries no API key.
     * `auth.invalid`: The API key is not valid.
     */
    401: Problem;
    /**
     * `auth.forbidden`: The API key may not do this.
     */
    403: Problem;
    /**
     * `internal`: Something went wrong inside Flotilla.
     */
    500: Problem;
};

export type KeysWhoamiError = KeysWhoamiErrors[keyof KeysWhoamiErrors];

export type KeysWhoamiResponses = {
    /**
     * The key in use.
     */
    200: WhoAmI;
};

export type KeysWhoamiResponse = KeysWhoamiResponses[keyof KeysWhoamiResponses];
