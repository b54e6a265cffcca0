// SPDX-License-Identifier: Apache-2.0
//! The closed set of error codes of the core.
//!
//! A code is part of the contract with callers, the message beside it is not. Each code has a general remedy; an
//! error that knows better gives its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $remedy:literal;)+) => {
        /// A stable error code, written as `area.cause`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
        }

        impl ErrorCode {
            /// Every code, in the order of their areas.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code as callers see it.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What to do about it, in general.
            pub const fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }

            /// What the code means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

codes! {
    /// The specification is not JSON.
    SpecMalformed = "spec.malformed", "Send one well-formed JSON object";
    /// A field exists that no version of the specification knows.
    SpecUnknownField = "spec.unknown_field", "Remove the field or correct its name";
    /// A field without a default is absent.
    SpecMissingField = "spec.missing_field", "Add the field";
    /// A field occurs twice in one object.
    SpecDuplicateField = "spec.duplicate_field", "Give the field once";
    /// A value has the wrong JSON type.
    SpecInvalidType = "spec.invalid_type", "Give a value of the type that the message names";
    /// A value has the right type and is not one of those allowed.
    SpecInvalidValue = "spec.invalid_value", "Give one of the values that the message names";
    /// A setting contradicts the profile of the machine.
    SpecProfileConflict = "spec.profile_conflict", "Remove the setting, or give the machine another profile";
    /// The number of CPUs is zero or more than a machine or this host can have.
    SpecCpusOutOfRange = "spec.cpus_out_of_range", "Ask for 1 to 64 CPUs, and no more than the host allows";
    /// The memory is smaller than 16 MiB.
    SpecMemoryTooSmall = "spec.memory_too_small", "Ask for at least 16777216 bytes (16 MiB)";
    /// The memory is larger than that of the host.
    SpecMemoryTooLarge = "spec.memory_too_large", "Ask for no more memory than the host has";
    /// The memory is not a whole number of pages.
    SpecMemoryUnaligned = "spec.memory_unaligned", "Ask for a multiple of 4096 bytes";
    /// Two options of the memory exclude each other.
    SpecMemoryConflict = "spec.memory_conflict", "Leave one of the options out";
    /// Sockets, cores and threads do not multiply to the number of CPUs.
    SpecCpuTopology = "spec.cpu_topology", "Give sockets, cores and threads whose product is the number of CPUs";
    /// A CPU feature is unknown, or asked for and refused at once.
    SpecCpuFeature = "spec.cpu_feature", "Use the names of /proc/cpuinfo, each in one list";
    /// A list of host CPUs for the threads of a machine cannot be followed.
    SpecPinInvalid = "spec.pin_invalid", "Give one list for each virtual CPU, or none, with numbers of CPUs of the host";
    /// The NUMA nodes do not share out the CPUs and the memory of the machine.
    SpecNumaInvalid = "spec.numa_invalid", "Put each CPU into one node, and share out the whole memory among the nodes";
    /// A disk or interface id has characters or a length that is not allowed.
    SpecIdInvalid = "spec.id_invalid", "Use 1 to 64 letters, digits, '-', '_' or '.', the first a letter or digit";
    /// Two disks, two interfaces or two shares have the same id or tag.
    SpecIdDuplicate = "spec.id_duplicate", "Give each disk, interface and share an id or tag of its own";
    /// A disk serial is empty, longer than 20 bytes or not printable ASCII.
    SpecSerialInvalid = "spec.serial_invalid", "Use 1 to 20 printable ASCII characters without spaces";
    /// Two disks have the same serial.
    SpecSerialDuplicate = "spec.serial_duplicate", "Give each disk a serial of its own, or none";
    /// A MAC address is malformed, zero or a group address.
    SpecMacInvalid = "spec.mac_invalid", "Use six hexadecimal pairs such as 52:54:00:12:34:56, the first one even";
    /// Two interfaces have the same MAC address.
    SpecMacDuplicate = "spec.mac_duplicate", "Give each interface a MAC address of its own, or none";
    /// The kernel command line is too long or holds a NUL.
    SpecCommandLineInvalid = "spec.command_line_invalid", "Use at most 4095 bytes without NUL";
    /// There are more disks than a machine can have.
    SpecTooManyDisks = "spec.too_many_disks", "Use at most 16 disks";
    /// A disk has no queue or more than it can have.
    SpecDiskQueuesInvalid = "spec.disk_queues_invalid", "Use 1 to 16 queues, or none to have one for each vCPU";
    /// A disk has blocks of a size that it cannot have.
    SpecBlockSizeInvalid = "spec.block_size_invalid", "Use 512 or 4096, or none for the smallest that works";
    /// A disk has too many backing files, one below a raw file, or one whose name cannot be one.
    SpecBackingInvalid = "spec.backing_invalid", "Name at most 16 backing files for each qcow2 disk and 32 for the machine, a raw one last";
    /// A disk that is mapped as memory has an option of one that is read and written by requests.
    SpecPmemConflict = "spec.pmem_conflict", "Leave the option out, or attach the disk as a block device";
    /// There are more interfaces than a machine can have.
    SpecTooManyInterfaces = "spec.too_many_interfaces", "Use at most 8 interfaces";
    /// A path is empty, too long or holds a NUL.
    SpecPathInvalid = "spec.path_invalid", "Give the path of a file, at most 4095 bytes, without NUL";
    /// A tap name is not a name a network link can have.
    SpecTapInvalid = "spec.tap_invalid", "Use 1 to 15 printable ASCII characters without '/', ':' or spaces";
    /// The context id of a guest is reserved, or its number of socket connections out of range.
    SpecVsockInvalid = "spec.vsock_invalid", "Use a context id from 3 to 4294967294 and 1 to 3000 connections";
    /// A console device has too many ports, or one whose name cannot be one or is taken.
    SpecConsoleInvalid = "spec.console_invalid", "Use at most 15 ports with names of their own other than hvc0: 1 to 64 letters, digits, '.', '_' or '-'";
    /// The target of a balloon is out of range, or its interval is.
    SpecBalloonInvalid = "spec.balloon_invalid", "Ask for a multiple of 4096 bytes that leaves the machine 16 MiB, and statistics at least daily";
    /// An interface has no queues, or more than it can have.
    SpecInterfaceQueuesOutOfRange = "spec.interface_queues_out_of_range", "Ask for 1 to 16 pairs of queues";
    /// An MTU is less than any link has, or more than a packet can be long.
    SpecMtuOutOfRange = "spec.mtu_out_of_range", "Ask for an MTU of 68 to 65535";
    /// An interface has no network, two of them, or a back-end that its network cannot have.
    SpecNetworkConflict = "spec.network_conflict", "Give the interface a tap or user-mode networking, the latter without vhost";
    /// A port of the host is forwarded twice, a port is zero, or there are too many forwards.
    SpecForwardInvalid = "spec.forward_invalid", "Forward at most 64 ports to an interface, and each port of the host once";
    /// There are too many shared folders, or a tag cannot be one.
    SpecShareInvalid = "spec.share_invalid", "Share at most 4 folders, each with a tag of 1 to 36 letters, digits, '-', '_' or '.', the first a letter or digit";
    /// Spoofed addresses shall be kept back by a back-end that looks at none.
    SpecSpoofGuardUnsupported = "spec.spoof_guard_unsupported", "Use the back-end tap, or allow spoofed addresses";
    /// A limit is zero or too large, or there are too many groups of limits.
    SpecThrottleInvalid = "spec.throttle_invalid", "Give rates of 1 to 9007199254740991 and at most 32 groups";
    /// A device shares the limits of a group that is none, or has others besides.
    SpecThrottleGroup = "spec.throttle_group", "Name one of the machine's throttle groups, and give the device no other limits";
    /// Something shall be limited that knows no limits.
    SpecThrottleUnsupported = "spec.throttle_unsupported", "Leave the limits out, or use the back-end tap";
    /// A descriptor index does not say which of the passed descriptors is meant, or a path was given to a worker.
    SpecDescriptorInvalid = "spec.descriptor_invalid", "Pass open descriptors in the documented order, and no paths";

    /// A file does not exist.
    FileMissing = "file.missing", "Check the path, and that the file exists on this host";
    /// A file is a directory or another thing that cannot be used as one.
    FileNotRegular = "file.not_regular", "Give a regular file or, for a disk, a block device";
    /// Permission to a file is denied.
    FileDenied = "file.denied", "Give the user that runs the machine permission to the file";
    /// A disk is in use by another machine.
    DiskLocked = "disk.locked", "Stop the machine that uses the disk, or give this one a copy";
    /// A disk has no bytes, or its length is not a whole number of sectors.
    DiskSize = "disk.size", "Give the disk a length that is a multiple of 512 bytes and not zero (truncate --size)";
    /// The length of a disk is no multiple of its blocks, or its blocks are smaller than direct I/O takes.
    DiskBlockSize = "disk.block_size", "Give the disk a length that is a multiple of its block size; with cache none leave the block size out";
    /// A disk that the guest may write cannot be mapped in whole, because it ends within a huge page.
    DiskPmemSize = "disk.pmem_size", "Give the disk a multiple of 2 MiB (truncate --size=%2M), or make it read-only";
    /// The guest has no addresses left for a disk that is mapped as memory.
    DiskPmemPlace = "disk.pmem_place", "Use a smaller disk, or attach it as a block device: the guest's addresses end before it";
    /// The host does not map a disk.
    DiskPmemMap = "disk.pmem_map", "Use a file on a file system that maps files as shared memory, open for writing unless the disk is read-only";
    /// The machine has no disk of this id.
    DiskUnknown = "disk.unknown", "Use the id of a disk in the specification of the machine";
    /// Nothing of the machine has these limits.
    ThrottleUnknown = "throttle.unknown", "Name a disk, interface or group of the machine; a device of a group has no limits of its own, vhost-net none at all";
    /// A disk became smaller under a running machine.
    DiskShrunk = "disk.shrunk", "Give the disk its former length back: a guest may use all that it was promised";
    /// The file system of a disk has no direct I/O.
    DiskCacheUnsupported = "disk.cache_unsupported", "Use cache writeback or writethrough, or move the disk to a file system with direct I/O";
    /// The host refuses the engine that a disk asks for.
    DiskEngineUnavailable = "disk.engine_unavailable", "Use engine auto or direct, or allow io_uring (sysctl kernel.io_uring_disabled=0)";
    /// Another process listens at the path of a socket.
    SocketBusy = "socket.busy", "Stop what listens there, or give the machine another path";
    /// A disk is not stored in the format that was given.
    DiskFormat = "disk.format", "Give the format that the file has; `qemu-img info` tells it";
    /// A disk image uses a part of its format that is not supported.
    DiskFormatUnsupported = "disk.format_unsupported", "Convert the image: `qemu-img convert -O qcow2`";
    /// A disk image is damaged.
    DiskCorrupt = "disk.corrupt", "Look at the image with `qemu-img check`, or restore it from a backup";
    /// The backing files given are not those that the images name.
    DiskBacking = "disk.backing", "Give the backing files that `qemu-img info --backing-chain` shows, the nearest first";
    /// A kernel file is in no format that can be booted.
    KernelUnrecognised = "kernel.unrecognised", "Give an x86-64 ELF vmlinux or a bzImage";
    /// A kernel file ends before it should.
    KernelTruncated = "kernel.truncated", "Copy or download the kernel again: the file is incomplete";
    /// An image file is in no format that fits its use.
    ImageUnrecognised = "image.unrecognised", "Give a raw disk, or an initrd as cpio or compressed cpio; `qemu-img convert -O raw` makes raw disks";
    /// An image file ends before it should.
    ImageTruncated = "image.truncated", "Copy or download the image again: the file is incomplete";
    /// A kernel, initrd and command line do not fit into the memory of the machine.
    BootTooLarge = "boot.too_large", "Give the machine more memory, or a smaller kernel or initrd";

    /// The host has no /dev/kvm.
    KvmMissing = "kvm.missing", "Load the module kvm_intel or kvm_amd, or use the lab; `flotilla doctor` tells more";
    /// Permission to /dev/kvm is denied.
    KvmDenied = "kvm.denied", "Add the user to the group kvm, or run as root; `flotilla doctor` tells more";
    /// KVM lacks what a machine needs, as it does without hardware support.
    KvmUnsupported = "kvm.unsupported", "Use a host with hardware virtualization, or the lab; `flotilla doctor` tells more";
    /// A tap interface does not exist.
    TapMissing = "tap.missing", "Create the tap interface first, or correct its name";
    /// A tap interface is in use by another process.
    TapBusy = "tap.busy", "Stop what uses the tap interface, or use another one";
    /// Permission to a tap interface is denied.
    TapDenied = "tap.denied", "Run as root, or create the tap interface for this user: ip tuntap add dev NAME mode tap vnet_hdr user USER";
    /// An interface is no tap, or one with other settings than a machine needs.
    TapUnsuitable = "tap.unsuitable", "Create a tap interface with a header, and for several queues with multi_queue: ip tuntap add dev NAME mode tap vnet_hdr";
    /// The host has no vhost-net.
    VhostMissing = "vhost.missing", "Load the module (modprobe vhost_net), or use the back-end tap; `flotilla doctor` tells more";
    /// Permission to /dev/vhost-net is denied.
    VhostDenied = "vhost.denied", "Run as root, give the user permission to /dev/vhost-net, or use the back-end tap";
    /// The program that user-mode networking needs is not there.
    PasstMissing = "passt.missing", "Install the package passt; `flotilla doctor` tells more";
    /// The program that user-mode networking needs does not start.
    PasstFailed = "passt.failed", "Mend what it says, and try it by hand: passt --foreground";
    /// A port of the host that shall be forwarded is in use.
    ForwardPortBusy = "forward.port_busy", "Stop what listens at the port, or forward another one";
    /// Permission to a port of the host that shall be forwarded is denied.
    ForwardPortDenied = "forward.port_denied", "Use a port of 1024 or more, run as root, or lower net.ipv4.ip_unprivileged_port_start";
    /// The host has not the address that shall be forwarded from.
    ForwardAddressUnknown = "forward.address_unknown", "Use an address that the host has, or leave it out for its loopback";
    /// The program that serves shared folders is not there.
    ShareMissing = "share.missing", "Install virtiofsd: on Debian 12 the package qemu-system-common, later virtiofsd; `flotilla doctor` tells more";
    /// The program that serves shared folders does not start.
    ShareFailed = "share.failed", "Mend what it says, and try it by hand: virtiofsd --help";
    /// This user may not share folders.
    ShareDenied = "share.denied", "Run as root: virtiofsd is locked into the folder, which takes privileges";
    /// The folder is in none of those that machines may share.
    ShareForbidden = "share.forbidden", "Share a folder below one of those that may be shared: `flotilla up --share-root`, FLOTILLA_SHARE_ROOTS, or shareRoots of the call";
    /// A path leads to something else than a folder.
    ShareNotFolder = "share.not_folder", "Give the path of a folder";
    /// The machine has no interface of that id.
    InterfaceUnknown = "interface.unknown", "Name an interface by the id it has in the specification";
    /// The guest cannot announce itself through an interface now.
    InterfaceNoAnnouncement = "interface.no_announcement", "Plug its cable in, and wait until the guest has a driver that knows how (VIRTIO_NET_F_GUEST_ANNOUNCE)";
    /// An interface of the name of a new tap exists already.
    TapExists = "tap.exists", "Use another name, or delete the interface first";

    /// Another client controls the worker.
    WorkerBusy = "worker.busy", "Close the other connection first: one client at a time controls a worker";
    /// The worker has ended or does not answer.
    WorkerGone = "worker.gone", "Look into worker.log in the run directory of the machine, then start it again";
    /// Another connection writes to the console.
    ConsoleBusy = "console.busy", "Close the other connection first, or open this one for reading only";
    /// The machine has no console of this name.
    ConsoleNoPort = "console.no_port", "Use a port of the machine's console device, or hvc0 for its terminal";
    /// As many connections read from the console as may.
    ConsoleFull = "console.full", "Close another connection first: 32 may read from a console at once";
    /// A message broke the control protocol.
    WorkerProtocol = "worker.protocol", "Use a client and a worker of the same release, or at most two versions apart";
    /// The machine is in a state that does not allow this.
    MachineState = "machine.state", "Ask for the state of the machine and do what it allows";
    /// The machine has no power button, because it has no ACPI.
    MachineNoPowerButton = "machine.no_power_button", "Let the guest power itself off, end the machine, or give it `acpi: true`";
    /// The machine has no balloon.
    MachineNoBalloon = "machine.no_balloon", "Create the machine with `balloon: {}` in its specification";
    /// The guest does not say what nothing in it uses: the balloon was not told to ask, or the guest has no driver that answers.
    MachineNoHinting = "machine.no_hinting", "Create the machine with `balloon: { freePageHinting: true }`, and wait until the guest has its driver";
    /// A device hangs and keeps a virtual CPU, or the thread that drives the machine, so that it does not stop in time.
    MachineStuck = "machine.stuck", "Look at what the disks and interfaces of the machine are on, then try again, or end the machine";
    /// A file system is full.
    HostNoSpace = "host.no_space", "Free space on the file system, or use another one";
    /// The host lacks memory or another resource.
    HostNoMemory = "host.no_memory", "Give the machine less memory, or free memory on the host";
    /// The host's pool of huge pages has too few of them, or none of that size.
    HostNoHugepages = "host.no_hugepages", "Reserve more: echo N > /sys/kernel/mm/hugepages/hugepages-SIZE/nr_hugepages (1 GiB pages best at boot), or use another backing";
    /// The memory of a machine cannot be locked.
    HostMemoryLock = "host.memory_lock", "Raise the limit of locked memory (ulimit -l, LimitMEMLOCK=), or leave lock out";
    /// The kernel of the host cannot merge equal pages.
    HostNoPageMerging = "host.no_page_merging", "Use a kernel with CONFIG_KSM, or leave mergeable out";
    /// A NUMA node of the host does not exist or has no memory.
    HostNumaNode = "host.numa_node", "Name nodes that /sys/devices/system/node has, or leave hostNodes out";
    /// The processor of the host lacks features that the machine asks for.
    HostCpuFeatures = "host.cpu_features", "Choose a lower CPU model, leave the features out, or use another host";
    /// A CPU of the host that a thread shall run on is absent, off, or not allowed to this process.
    HostCpuAbsent = "host.cpu_absent", "Name CPUs that /sys/devices/system/cpu/online has and that this process may use (taskset -p)";
    /// The caller withdrew the call.
    Aborted = "aborted", "Nothing: the call ended because its signal was aborted";
    /// The core failed in a way that is its own fault.
    CorePanic = "core.panic", "Report this with the message and the log: it is a fault in Flotilla";
    /// The host refused an operation for a reason without a code of its own.
    Io = "io", "Read the message for what the host refused";
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
