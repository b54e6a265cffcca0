// SPDX-License-Identifier: Apache-2.0
//! Tap interfaces: the host's end of a virtual network cable.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{FRAME_HEADER_LEN, Offloads, PacketBackend};
use flotilla_memory::{GuestMemory, mark_dirty, push_iovecs};

use crate::{TapError, sys};

/// Everything that Linux taps have done since 2.6.27.
const ALL_OFFLOADS: Offloads = Offloads { checksum: true, tso4: true, tso6: true, ecn: true };

/// Most frames that are thrown away at once: more than a tap holds (`TUN_READQ_SIZE` is 500), so that a flood cannot
/// keep whoever discards.
const MAX_DISCARDED: usize = 2048;

/// An open tap interface with one queue.
///
/// ```no_run
/// let tap = flotilla_net::Tap::open("tap0")?;
/// # Ok::<(), flotilla_net::TapError>(())
/// ```
#[derive(Debug)]
pub struct Tap {
    descriptor: OwnedFd,
    offloads: Offloads,
}

impl Tap {
    /// Opens an existing tap interface of this network namespace.
    pub fn open(name: &str) -> Result<Self, TapError> {
        Self::prepare(open_descriptor(name)?, name)
    }

    /// Takes over a descriptor that [`open_descriptor`], or another program, attached to a tap interface.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, TapError> {
        Self::prepare(descriptor, "descriptor")
    }

    fn prepare(descriptor: OwnedFd, name: &str) -> Result<Self, TapError> {
        let tap = descriptor.as_fd();
        let host = |step| move |source| TapError::Host { step, name: name.to_owned(), source };
        if !sys::is_suitable(tap).unwrap_or(false) {
            return Err(TapError::NotTap { name: name.to_owned() });
        }
        sys::set_nonblocking(tap).map_err(host("make nonblocking"))?;
        let header = libc::c_int::try_from(FRAME_HEADER_LEN).unwrap_or(libc::c_int::MAX);
        sys::set_header_len(tap, header).map_err(host("set the header length of"))?;
        // Only trying tells what the driver can do. Then off again, until a guest says what it takes.
        let offloads = match sys::set_offloads(tap, ALL_OFFLOADS) {
            Ok(()) => ALL_OFFLOADS,
            Err(_) => Offloads::default(),
        };
        sys::set_offloads(tap, Offloads::default()).map_err(host("reset the offloads of"))?;
        Ok(Self { descriptor, offloads })
    }
}

impl PacketBackend for Tap {
    fn offloads(&self) -> Offloads {
        self.offloads
    }

    fn set_guest_offloads(&self, offloads: Offloads) -> io::Result<()> {
        sys::set_offloads(self.descriptor.as_fd(), offloads)
    }

    fn receive_event(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    fn receive(&self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<Option<usize>> {
        let mut buffers = host_buffers(memory, segments)?;
        // The kernel does not say that it cut a frame. One that reaches into this byte did not fit.
        let mut beyond = [0_u8];
        buffers.push(iovec(&mut beyond));
        // SAFETY: the buffers lie in guest memory, which is borrowed through the call, and in our own byte.
        let result = unsafe { sys::read(self.descriptor.as_fd(), &buffers) };
        match result {
            Ok(len) => {
                mark_received(memory, segments, len);
                Ok(Some(len))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn discard(&self) -> io::Result<()> {
        // The kernel wants room for the header and cuts the rest.
        let mut header = [0; FRAME_HEADER_LEN];
        for _ in 0..MAX_DISCARDED {
            // SAFETY: the buffer is our own.
            match unsafe { sys::read(self.descriptor.as_fd(), &[iovec(&mut header)]) } {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send(&self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<usize> {
        let buffers = host_buffers(memory, segments)?;
        // SAFETY: the buffers lie in guest memory, which is borrowed through the call.
        unsafe { sys::write(self.descriptor.as_fd(), &buffers) }
    }
}

/// Opens an existing tap interface of this network namespace, for [`Tap::from_descriptor`] here or elsewhere.
pub fn open_descriptor(name: &str) -> Result<OwnedFd, TapError> {
    check_name(name)?;
    // Attaching to a name that does not exist would create an interface.
    let exists = sys::exists(name).map_err(|source| host_error("look for", name, source))?;
    if !exists {
        return Err(TapError::Missing { name: name.to_owned() });
    }
    attach(name)
}

/// Creates a tap interface that stays until it is deleted. With `owner`, that user may use it without privilege.
pub fn create_persistent(name: &str, owner: Option<u32>) -> Result<(), TapError> {
    check_name(name)?;
    let exists = sys::exists(name).map_err(|source| host_error("look for", name, source))?;
    if exists {
        return Err(TapError::Exists { name: name.to_owned() });
    }
    // Until it is made persistent the interface goes away with the descriptor: no error leaves one behind.
    let tap = attach(name)?;
    if let Some(user) = owner {
        sys::set_owner(tap.as_fd(), user).map_err(|source| host_error("give away", name, source))?;
    }
    sys::set_persistent(tap.as_fd(), true).map_err(|source| host_error("keep", name, source))
}

/// Deletes a tap interface that nobody uses.
pub fn delete(name: &str) -> Result<(), TapError> {
    let tap = open_descriptor(name)?;
    sys::set_persistent(tap.as_fd(), false).map_err(|source| host_error("delete", name, source))
}

fn attach(name: &str) -> Result<OwnedFd, TapError> {
    let named = || name.to_owned();
    let tap = sys::open_driver().map_err(|source| match source.raw_os_error() {
        Some(libc::ENOENT | libc::ENODEV | libc::ENXIO) => TapError::NoDriver(source),
        Some(libc::EACCES | libc::EPERM) => TapError::Denied { name: named() },
        _ => host_error("open the driver for", name, source),
    })?;
    sys::attach(tap.as_fd(), name).map_err(|source| match source.raw_os_error() {
        Some(libc::EBUSY) => TapError::Busy { name: named() },
        Some(libc::EACCES | libc::EPERM) => TapError::Denied { name: named() },
        Some(libc::EINVAL) => TapError::NotTap { name: named() },
        _ => host_error("attach to", name, source),
    })?;
    Ok(tap)
}

/// What the kernel takes as a name, without `%`: it would choose another name by itself then.
fn check_name(name: &str) -> Result<(), TapError> {
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:%".contains(&byte));
    if printable && (1..16).contains(&name.len()) && name != "." && name != ".." {
        return Ok(());
    }
    Err(TapError::Name { name: name.chars().take(64).collect() })
}

fn host_error(step: &'static str, name: &str, source: io::Error) -> TapError {
    TapError::Host { step, name: name.to_owned(), source }
}

fn host_buffers(memory: &GuestMemory, segments: &[Segment]) -> io::Result<Vec<libc::iovec>> {
    let mut buffers = Vec::with_capacity(segments.len());
    for segment in segments {
        push_iovecs(memory, segment.address, usize_from(segment.len), &mut buffers)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    }
    Ok(buffers)
}

fn iovec(bytes: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() }
}

fn mark_received(memory: &GuestMemory, segments: &[Segment], len: usize) {
    let mut rest = len;
    for segment in segments {
        let part = rest.min(usize_from(segment.len));
        if part == 0 {
            break;
        }
        mark_dirty(memory, segment.address, part);
        rest -= part;
    }
}

fn usize_from(value: u32) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
