// SPDX-License-Identifier: Apache-2.0
//! The few ioctls of `linux/if_tun.h` that taps need, and what is asked of sockets. Each unsafe block of the crate that passes
//! a structure to the kernel is here.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use flotilla_device_model::net::Offloads;

/// Longest name of an interface with its NUL (`IFNAMSIZ`).
const NAME_LEN: usize = 16;

/// A plain argument, an `int` behind a pointer, or an `ifreq`.
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;
const TUNSETPERSIST: libc::c_ulong = 0x4004_54cb;
const TUNSETOWNER: libc::c_ulong = 0x4004_54cc;
const TUNSETOFFLOAD: libc::c_ulong = 0x4004_54d0;
const TUNGETIFF: libc::c_ulong = 0x8004_54d2;
const TUNSETVNETHDRSZ: libc::c_ulong = 0x4004_54d8;
const TUNSETQUEUE: libc::c_ulong = 0x4004_54d9;

const IFF_TAP: u16 = 0x0002;
const IFF_MULTI_QUEUE: u16 = 0x0100;
const IFF_ATTACH_QUEUE: u16 = 0x0200;
const IFF_DETACH_QUEUE: u16 = 0x0400;
const IFF_NO_PI: u16 = 0x1000;
const IFF_VNET_HDR: u16 = 0x4000;
/// How every tap is opened: frames as they are, each behind a virtio-net header.
const TAP_FLAGS: u16 = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

const TUN_F_CSUM: libc::c_ulong = 1;
const TUN_F_TSO4: libc::c_ulong = 2;
const TUN_F_TSO6: libc::c_ulong = 4;
const TUN_F_TSO_ECN: libc::c_ulong = 8;
const TUN_F_UFO: libc::c_ulong = 0x10;
/// For both families at once: the kernel takes no other combination.
const TUN_F_USO: libc::c_ulong = 0x20 | 0x40;

/// `struct ifreq` of linux/if.h, as far as taps use it.
#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_LEN],
    flags: u16,
    rest: [u8; 22],
}

const _: () = assert!(size_of::<InterfaceRequest>() == size_of::<libc::ifreq>());

impl InterfaceRequest {
    /// `None` if the name is not 1 to 15 bytes long.
    fn new(name: &str, flags: u16) -> Option<Self> {
        let mut request = Self { name: [0; NAME_LEN], flags, rest: [0; 22] };
        let place = request.name.get_mut(..name.len())?;
        place.copy_from_slice(name.as_bytes());
        (1..NAME_LEN).contains(&name.len()).then_some(request)
    }

    fn call(&mut self, descriptor: BorrowedFd<'_>, request: libc::c_ulong) -> io::Result<()> {
        // SAFETY: the requests used with this method read and write one ifreq, which lives through the call.
        checked(unsafe { libc::ioctl(descriptor.as_raw_fd(), request, &raw mut *self) })
    }
}

fn invalid_name() -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

fn checked(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A folder of the kernel with one for each interface, as the network namespace of the calling thread has them.
const INTERFACES: &str = "/proc/sys/net/ipv4/conf";

/// The number of the interface of that name in the network namespace of the calling thread, if there is one.
///
/// Asked for the number of a name that it does not know, the kernel has modprobe look for a driver of that name, twice: that takes
/// longer than all else that makes a tap. So it is asked for names only that are there.
pub(crate) fn index_of(name: &str) -> io::Result<Option<u32>> {
    let interfaces = Path::new(INTERFACES);
    if interfaces.exists() && !interfaces.join(name).exists() {
        return Ok(None);
    }
    let name = CString::new(name).map_err(|_| invalid_name())?;
    // SAFETY: the name is a C string that lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index != 0 {
        return Ok(Some(index));
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENODEV) { Ok(None) } else { Err(error) }
}

/// Opens the tap driver.
pub(crate) fn open_driver() -> io::Result<OwnedFd> {
    open("/dev/net/tun")
}

/// Opens a queue of the macvtap interface with this number; each has a device of its own.
pub(crate) fn open_macvtap(index: u32) -> io::Result<OwnedFd> {
    open(&format!("/dev/tap{index}"))
}

fn open(path: &str) -> io::Result<OwnedFd> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC);
    options.open(path).map(File::into)
}

/// Attaches an open driver to an interface; creates the interface if there is none.
pub(crate) fn attach(tap: BorrowedFd<'_>, name: &str, multi_queue: bool) -> io::Result<()> {
    let flags = TAP_FLAGS | if multi_queue { IFF_MULTI_QUEUE } else { 0 };
    InterfaceRequest::new(name, flags).ok_or_else(invalid_name)?.call(tap, TUNSETIFF)
}

/// Lets a queue carry frames, or no longer. It belongs to its interface all the while.
pub(crate) fn set_attached(tap: BorrowedFd<'_>, attached: bool) -> io::Result<()> {
    let flags = if attached { IFF_ATTACH_QUEUE } else { IFF_DETACH_QUEUE };
    InterfaceRequest { name: [0; NAME_LEN], flags, rest: [0; 22] }.call(tap, TUNSETQUEUE)
}

/// Whether a descriptor is attached to a tap with the flags we need.
pub(crate) fn is_suitable(tap: BorrowedFd<'_>) -> io::Result<bool> {
    let mut request = InterfaceRequest { name: [0; NAME_LEN], flags: 0, rest: [0; 22] };
    request.call(tap, TUNGETIFF)?;
    Ok(request.flags & TAP_FLAGS == TAP_FLAGS)
}

/// Whether a descriptor is attached to the interface of that name.
pub(crate) fn is_on(tap: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    let mut request = InterfaceRequest { name: [0; NAME_LEN], flags: 0, rest: [0; 22] };
    request.call(tap, TUNGETIFF)?;
    Ok(request.name.split(|byte| *byte == 0).next() == Some(name.as_bytes()))
}

/// Lets the interface live on, or end, when its last descriptor is closed.
pub(crate) fn set_persistent(tap: BorrowedFd<'_>, persistent: bool) -> io::Result<()> {
    // SAFETY: the argument is a plain number.
    checked(unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETPERSIST, libc::c_ulong::from(persistent)) })
}

/// Lets a user other than root attach to the interface.
pub(crate) fn set_owner(tap: BorrowedFd<'_>, user: u32) -> io::Result<()> {
    // SAFETY: the argument is a plain number.
    checked(unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETOWNER, libc::c_ulong::from(user)) })
}

/// Sets the length in bytes of the header before each frame.
pub(crate) fn set_header_len(tap: BorrowedFd<'_>, len: libc::c_int) -> io::Result<()> {
    // SAFETY: the request reads one int, which lives through the call.
    checked(unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETVNETHDRSZ, &raw const len) })
}

/// Says what frames may need of whoever reads them from the descriptor.
pub(crate) fn set_offloads(tap: BorrowedFd<'_>, offloads: Offloads) -> io::Result<()> {
    let bit = |wanted: bool, bit: libc::c_ulong| if wanted { bit } else { 0 };
    // The kernel refuses segmentation without checksums.
    let flags = if offloads.checksum {
        TUN_F_CSUM
            | bit(offloads.tso4, TUN_F_TSO4)
            | bit(offloads.tso6, TUN_F_TSO6)
            | bit(offloads.ecn && (offloads.tso4 || offloads.tso6), TUN_F_TSO_ECN)
            | bit(offloads.ufo, TUN_F_UFO)
            | bit(offloads.uso, TUN_F_USO)
    } else {
        0
    };
    // SAFETY: the argument is a plain number.
    checked(unsafe { libc::ioctl(tap.as_raw_fd(), TUNSETOFFLOAD, flags) })
}

/// Makes reads and writes return at once. The flag belongs to the open file, also in other processes.
pub(crate) fn set_nonblocking(tap: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: F_GETFL takes no memory.
    let flags = unsafe { libc::fcntl(tap.as_raw_fd(), libc::F_GETFL) };
    checked(flags)?;
    // SAFETY: F_SETFL takes a plain number.
    checked(unsafe { libc::fcntl(tap.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) })
}

/// Whether a descriptor is a stream socket of `AF_UNIX`.
pub(crate) fn is_local_stream(socket: BorrowedFd<'_>) -> io::Result<bool> {
    let is = |name, wanted| socket_option(socket, name).map(|found| found == wanted);
    Ok(is(libc::SO_DOMAIN, libc::AF_UNIX)? && is(libc::SO_TYPE, libc::SOCK_STREAM)?)
}

fn socket_option(socket: BorrowedFd<'_>, name: libc::c_int) -> io::Result<libc::c_int> {
    let (mut value, mut len): (libc::c_int, libc::socklen_t) = (0, 4);
    // SAFETY: both options are an int; it and its length live through the call.
    checked(unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw mut value).cast(), &raw mut len)
    })?;
    Ok(value)
}

/// Lets the program that takes the place of this process have a descriptor. Safe to call between fork and exec.
pub(crate) fn keep_over_exec(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: F_SETFD takes a plain number.
    checked(unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) })
}

/// A vectored read of one frame.
///
/// # Safety
/// The buffers must be valid for writes, in memory that may change at any time.
pub(crate) unsafe fn read(tap: BorrowedFd<'_>, buffers: &[libc::iovec]) -> io::Result<usize> {
    let count = libc::c_int::try_from(buffers.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    repeat(|| {
        // SAFETY: the caller vouches for the buffers; the list lives through the call.
        unsafe { libc::readv(tap.as_raw_fd(), buffers.as_ptr(), count) }
    })
}

/// A vectored write of one frame.
///
/// # Safety
/// The buffers must be valid for reads, in memory that may change at any time.
pub(crate) unsafe fn write(tap: BorrowedFd<'_>, buffers: &[libc::iovec]) -> io::Result<usize> {
    let count = libc::c_int::try_from(buffers.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    repeat(|| {
        // SAFETY: the caller vouches for the buffers; the list lives through the call.
        unsafe { libc::writev(tap.as_raw_fd(), buffers.as_ptr(), count) }
    })
}

fn repeat(mut call: impl FnMut() -> isize) -> io::Result<usize> {
    loop {
        if let Ok(len) = usize::try_from(call()) {
            return Ok(len);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}
