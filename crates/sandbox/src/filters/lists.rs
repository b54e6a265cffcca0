// SPDX-License-Identifier: Apache-2.0
//! The calls each kind of thread needs, and why.

/// A call and which uses of it are allowed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed {
    pub(super) call: i64,
    pub(super) only: Only,
}

/// A limit on one argument of a call, taken as 32 bits.
#[derive(Debug, Clone, Copy)]
pub(super) enum Only {
    Any,
    /// The argument has one of these values.
    Values {
        argument: u8,
        values: &'static [u64],
    },
    /// These bits of the argument have this value.
    Bits {
        argument: u8,
        mask: u64,
        value: u64,
    },
    /// The argument is the id of the calling process.
    OwnProcess {
        argument: u8,
    },
}

const fn any(call: i64) -> Allowed {
    Allowed { call, only: Only::Any }
}

const fn values(call: i64, argument: u8, values: &'static [u64]) -> Allowed {
    Allowed { call, only: Only::Values { argument, values } }
}

const fn bits(call: i64, argument: u8, mask: u64, value: u64) -> Allowed {
    Allowed { call, only: Only::Bits { argument, mask, value } }
}

const fn own_process(call: i64, argument: u8) -> Allowed {
    Allowed { call, only: Only::OwnProcess { argument } }
}

/// The type of all KVM requests (`KVMIO` of linux/kvm.h), which stands in bits 8 to 15.
const KVM_TYPE: u64 = 0xae00;
const TYPE_MASK: u64 = 0xff00;
/// What the standard library asks of other descriptors: `FIONBIO`.
const OTHER_REQUESTS: &[u64] = &[0x5421];
/// What a driver changes of a tap while it runs: `TUNSETOFFLOAD` and `TUNSETQUEUE`.
const TAP_REQUESTS: &[u64] = &[0x4004_54d0, 0x4004_54d9];
/// What the rings of a driver need of vhost-net: features, memory table, the size, addresses and position of a ring, its
/// eventfds, its tap. Not `VHOST_SET_OWNER`, which comes once when the machine is built.
const VHOST_REQUESTS: &[u64] = &[
    0x4008_af00,
    0x4008_af03,
    0x4008_af10,
    0x4028_af11,
    0x4008_af12,
    0xc008_af12,
    0x4008_af20,
    0x4008_af21,
    0x4008_af22,
    0x4008_af30,
];

/// `BLKDISCARD`, `BLKZEROOUT` and `BLKGETSIZE64`.
const DISK_REQUESTS: &[u64] = &[0x1277, 0x127f, 0x8008_1272];

/// `F_GETFD`, `F_SETFD`, `F_GETFL`, `F_SETFL`, `F_DUPFD_CLOEXEC`, and `F_OFD_SETLK` for the lock of a disk. None that
/// names a process to be signalled (`F_SETOWN`), here or among the requests of ioctl(2).
const DESCRIPTOR_COMMANDS: &[u64] = &[1, 2, 3, 4, 1030, 37];

const PR_SET_NAME: u64 = 15;
const PR_SET_NO_NEW_PRIVS: u64 = 38;

/// What a ring for a disk is set up with: its files, its eventfd, what it may do, and its start
/// (`IORING_REGISTER_FILES`, `_EVENTFD`, `_RESTRICTIONS` and `_ENABLE_RINGS`).
const RING_SETUP: &[u64] = &[2, 4, 11, 12];

/// `AF_UNIX`.
const LOCAL_SOCKETS: &[u64] = &[1];
/// The calling process, for calls in which 0 stands for it.
const MYSELF: &[u64] = &[0];

/// Flags of clone(2) that make a thread and not a process (`CLONE_VM | CLONE_SIGHAND | CLONE_THREAD`).
const THREAD: u64 = 0x0001_0900;

/// Device threads: waiting, moving bytes, ending. The basis of all others.
pub(super) const IO: &[Allowed] = &[
    // Data: files, eventfds, taps, sockets that are open.
    any(libc::SYS_read),
    any(libc::SYS_write),
    any(libc::SYS_readv),
    any(libc::SYS_writev),
    any(libc::SYS_preadv),
    any(libc::SYS_pwritev),
    any(libc::SYS_pread64),
    any(libc::SYS_pwrite64),
    any(libc::SYS_recvfrom),
    any(libc::SYS_sendto),
    // What serves a shared folder is told of memory and rings by their descriptors, at each start of a driver. Only over
    // sockets that are open; to take descriptors is for the control side.
    any(libc::SYS_sendmsg),
    // The sockets of a guest: those that come to the listening one, and the end of one direction.
    any(libc::SYS_accept4),
    any(libc::SYS_shutdown),
    any(libc::SYS_fdatasync),
    any(libc::SYS_fsync),
    // Disk images grow.
    any(libc::SYS_ftruncate),
    // Giving space of a disk back, writing zeroes to it: of a file, and requests of a device, whose size is looked up too.
    any(libc::SYS_fallocate),
    values(libc::SYS_ioctl, 1, DISK_REQUESTS),
    any(libc::SYS_io_uring_enter),
    any(libc::SYS_close),
    values(libc::SYS_fcntl, 1, DESCRIPTOR_COMMANDS),
    // The scheduling policy of the thread itself: all that it may choose without privileges is to be less urgent.
    values(libc::SYS_sched_setscheduler, 0, MYSELF),
    values(libc::SYS_ioctl, 1, TAP_REQUESTS),
    values(libc::SYS_ioctl, 1, VHOST_REQUESTS),
    // Waiting.
    any(libc::SYS_epoll_wait),
    any(libc::SYS_epoll_pwait),
    any(libc::SYS_epoll_ctl),
    any(libc::SYS_poll),
    any(libc::SYS_ppoll),
    any(libc::SYS_futex),
    any(libc::SYS_sched_yield),
    any(libc::SYS_nanosleep),
    any(libc::SYS_clock_nanosleep),
    any(libc::SYS_clock_gettime),
    any(libc::SYS_restart_syscall),
    // Memory for the allocator.
    any(libc::SYS_mmap),
    any(libc::SYS_munmap),
    any(libc::SYS_mremap),
    any(libc::SYS_mprotect),
    any(libc::SYS_madvise),
    any(libc::SYS_brk),
    any(libc::SYS_getrandom),
    // Life of a thread.
    any(libc::SYS_exit),
    any(libc::SYS_exit_group),
    any(libc::SYS_rseq),
    any(libc::SYS_set_robust_list),
    any(libc::SYS_sigaltstack),
    any(libc::SYS_rt_sigprocmask),
    any(libc::SYS_rt_sigaction),
    any(libc::SYS_rt_sigreturn),
    // Of any thread: the C library gives the id of the calling one. It reads and changes nothing.
    any(libc::SYS_sched_getaffinity),
    any(libc::SYS_gettid),
    any(libc::SYS_getpid),
    // An abort after a panic signals the thread itself, and a vCPU is signalled to leave its guest. Workers of other
    // machines run as the same user and must be out of reach.
    own_process(libc::SYS_tgkill, 0),
    // Its name, and a narrower filter.
    values(libc::SYS_prctl, 0, &[PR_SET_NAME, PR_SET_NO_NEW_PRIVS]),
    any(libc::SYS_seccomp),
];

/// vCPU threads: KVM, and starting devices.
pub(super) const VCPU: &[Allowed] = &[
    bits(libc::SYS_ioctl, 1, TYPE_MASK, KVM_TYPE),
    values(libc::SYS_ioctl, 1, OTHER_REQUESTS),
    bits(libc::SYS_clone, 0, THREAD, THREAD),
    any(libc::SYS_epoll_create1),
    any(libc::SYS_eventfd2),
    any(libc::SYS_timerfd_create),
    any(libc::SYS_timerfd_settime),
    any(libc::SYS_dup),
    any(libc::SYS_membarrier),
    // Where it and the threads of devices that it starts run.
    values(libc::SYS_sched_setaffinity, 0, MYSELF),
];

/// The control side: its sockets, descriptors that come over them, memory and files of the machine.
pub(super) const CONTROL: &[Allowed] = &[
    any(libc::SYS_recvmsg),
    any(libc::SYS_getsockopt),
    any(libc::SYS_setsockopt),
    any(libc::SYS_getsockname),
    any(libc::SYS_getpeername),
    values(libc::SYS_socketpair, 0, LOCAL_SOCKETS),
    any(libc::SYS_pipe2),
    any(libc::SYS_memfd_create),
    // Guest memory that is not swapped, and from which nodes of the host it comes. They concern this process only.
    any(libc::SYS_mlock),
    any(libc::SYS_mlock2),
    any(libc::SYS_mbind),
    any(libc::SYS_lseek),
    any(libc::SYS_fstat),
    any(libc::SYS_statx),
    any(libc::SYS_fstatfs),
    any(libc::SYS_clock_getres),
    any(libc::SYS_sysinfo),
    any(libc::SYS_uname),
    any(libc::SYS_getuid),
    any(libc::SYS_geteuid),
    any(libc::SYS_getrusage),
    values(libc::SYS_prlimit64, 0, MYSELF),
    any(libc::SYS_rt_sigtimedwait),
    any(libc::SYS_signalfd4),
    // Rings for disks. No filter sees what a ring does, so the threads that a guest drives make none; see `REFUSED`.
    any(libc::SYS_io_uring_setup),
    values(libc::SYS_io_uring_register, 1, RING_SETUP),
    // BLKGETSIZE64 of a disk; the tap requests of its opening; whether output is a terminal; bytes that wait;
    // VHOST_SET_OWNER and VHOST_GET_FEATURES.
    values(libc::SYS_ioctl, 1, &[0x8008_1272, 0x8004_54d2, 0x4004_54d8, 0x5401, 0x541b, 0xaf01, 0x8008_af00]),
    // Files, of which there are none: libraries ask for configuration and do without.
    any(libc::SYS_openat),
    any(libc::SYS_newfstatat),
    any(libc::SYS_readlinkat),
    any(libc::SYS_faccessat2),
    any(libc::SYS_getcwd),
];

/// Calls that libraries try and do without, and the answer they get where a list does not allow them: the C library
/// makes threads by `clone`, whose flags a filter can see, when there is no `clone3`; a backtrace looks for files; a disk
/// that a vCPU starts again after a failure does without a ring.
pub(super) const REFUSED: &[(i64, i32)] = &[
    (libc::SYS_clone3, libc::ENOSYS),
    (libc::SYS_openat, libc::EACCES),
    (libc::SYS_newfstatat, libc::EACCES),
    (libc::SYS_statx, libc::EACCES),
    (libc::SYS_fstat, libc::EACCES),
    (libc::SYS_readlinkat, libc::EACCES),
    (libc::SYS_faccessat2, libc::EACCES),
    (libc::SYS_getcwd, libc::EACCES),
    (libc::SYS_lseek, libc::EACCES),
    (libc::SYS_io_uring_setup, libc::EACCES),
    (libc::SYS_io_uring_register, libc::EACCES),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, libc::EACCES),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_stat, libc::EACCES),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_readlink, libc::EACCES),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_access, libc::EACCES),
];
