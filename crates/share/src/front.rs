// SPDX-License-Identifier: Apache-2.0
//! The front end of vhost-user: tells a process where the rings of a driver are, and when to serve them.
//!
//! The process maps the memory of the machine, for which that must have descriptors, and serves the rings without this one.
//! Addresses of this process mean nothing to it, so it is told those of the guest in their place. The first request that is
//! not answered in time, or wrongly, is the last one.
//!
//! NOTE: what the process writes is not logged page by page. So all memory counts as written after a stop; the device sees
//! to that.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flotilla_device_model::ring::Ring;
use flotilla_device_model::share::ShareBackend;
use flotilla_memory::{Address, GuestAddress, GuestMemory};
use rustix::net::RecvFlags;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

use crate::ShareError;
use crate::wire::{self, MAX_DESCRIPTORS, Payload, Request};

/// `VIRTIO_F_INDIRECT_DESC`, `VIRTIO_F_EVENT_IDX`: what rings may have beside what virtio 1.0 demands.
const RING_FEATURES: u64 = 1 << 28 | 1 << 29;
const VERSION_1: u64 = 1 << 32;
/// `VHOST_USER_F_PROTOCOL_FEATURES`: rings stand still until they are enabled.
const PROTOCOL_FEATURES: u64 = 1 << 30;

/// How long a request may take: what the guest asked for before is brought to its end first.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process at the other end of a socket.
#[derive(Debug)]
pub struct VhostUser {
    socket: UnixStream,
    features: u64,
    gone: AtomicBool,
}

impl VhostUser {
    /// Takes over a connected socket, and waits until the process answers.
    pub fn new(socket: OwnedFd) -> Result<Self, ShareError> {
        let domain = rustix::net::sockopt::socket_domain(&socket).map_err(not_socket)?;
        let kind = rustix::net::sockopt::socket_type(&socket).map_err(not_socket)?;
        if (domain, kind) != (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM) {
            return Err(not_socket(rustix::io::Errno::NOTSOCK));
        }
        let host = |source| ShareError::Host { step: "talk to", source };
        let socket = UnixStream::from(socket);
        limit_time(&socket).map_err(host)?;
        let mut front = Self { socket, features: 0, gone: AtomicBool::new(false) };
        front.introduce().map_err(host)?;
        Ok(front)
    }

    fn introduce(&mut self) -> io::Result<()> {
        let offered = self.ask(Request::GetFeatures)?;
        if offered & (VERSION_1 | PROTOCOL_FEATURES) != VERSION_1 | PROTOCOL_FEATURES {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it lacks virtio 1.0 or protocol features",
            ));
        }
        self.features = offered & RING_FEATURES;
        self.ask(Request::GetProtocolFeatures)?;
        self.tell(Request::SetProtocolFeatures, &Payload::default().u64(0), &[])?;
        self.tell(Request::SetOwner, &Payload::default(), &[])
    }

    fn tell(&self, request: Request, payload: &Payload, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        wire::send(&self.socket, request, payload, descriptors).inspect_err(|_| self.give_up())
    }

    fn answer<const LEN: usize>(&self, request: Request) -> io::Result<[u8; LEN]> {
        wire::answer(&self.socket, request).inspect_err(|_| self.give_up())
    }

    fn ask(&self, request: Request) -> io::Result<u64> {
        self.tell(request, &Payload::default(), &[])?;
        self.answer(request).map(u64::from_ne_bytes)
    }

    /// What the socket carries from now on belongs to nothing; the process ends once it sees its end.
    fn give_up(&self) {
        self.gone.store(true, Ordering::Relaxed);
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
    }

    fn set_up(&self, features: u64, memory: &GuestMemory, rings: &[(u16, Ring<'_>)]) -> io::Result<()> {
        let agreed = features & self.features | VERSION_1 | PROTOCOL_FEATURES;
        self.tell(Request::SetFeatures, &Payload::default().u64(agreed), &[])?;
        self.share_memory(memory)?;
        for (index, ring) in rings {
            self.set_up_ring(memory, u32::from(*index), ring)?;
        }
        // Its answer says that the rest was understood.
        self.ask(Request::GetFeatures).map(drop)
    }

    fn share_memory(&self, memory: &GuestMemory) -> io::Result<()> {
        let mut files = Vec::new();
        let count = u32::try_from(memory.num_regions()).map_err(io::Error::other)?;
        let mut table = Payload::default().u32(count).u32(0);
        for region in memory.iter() {
            let private = || io::Error::new(io::ErrorKind::InvalidInput, "memory is private");
            let file = region.file_offset().ok_or_else(private)?;
            let start = region.start_addr().raw_value();
            table = table.u64(start).u64(region.len()).u64(start).u64(file.start());
            files.push(file.file().as_fd());
        }
        if files.len() > MAX_DESCRIPTORS {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "memory has too many regions"));
        }
        self.tell(Request::SetMemoryTable, &table, &files)
    }

    fn set_up_ring(&self, memory: &GuestMemory, index: u32, ring: &Ring<'_>) -> io::Result<()> {
        let state = &ring.state;
        let size = u64::from(state.size);
        let number = |number: u32| Payload::default().u32(index).u32(number);
        self.tell(Request::SetRingSize, &number(state.size.into()), &[])?;
        self.tell(Request::SetRingBase, &number(state.next_avail.into()), &[])?;
        let addresses = number(0)
            .u64(in_one_piece(memory, state.desc_table, 16 * size)?)
            .u64(in_one_piece(memory, state.used_ring, 6 + 8 * size)?)
            .u64(in_one_piece(memory, state.avail_ring, 6 + 2 * size)?)
            .u64(0);
        self.tell(Request::SetRingAddresses, &addresses, &[])?;
        for (request, event) in [
            (Request::SetRingCall, ring.call),
            (Request::SetRingError, ring.error),
            (Request::SetRingKick, ring.kick),
        ] {
            self.tell(request, &Payload::default().u64(index.into()), &[descriptor(event)])?;
        }
        self.tell(Request::SetRingEnable, &number(1), &[])
    }

    fn stop_ring(&self, index: u16) -> io::Result<u16> {
        let index = u32::from(index);
        self.tell(Request::GetRingBase, &Payload::default().u32(index).u32(0), &[])?;
        let [answered, base] = wire::numbers(&self.answer::<8>(Request::GetRingBase)?);
        if answered != index {
            self.give_up();
            return Err(io::Error::new(io::ErrorKind::InvalidData, "answer is of another ring"));
        }
        u16::try_from(base & 0xffff).map_err(io::Error::other)
    }
}

impl ShareBackend for VhostUser {
    fn features(&self) -> u64 {
        self.features
    }

    fn event(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn is_gone(&self) -> bool {
        if !self.gone.load(Ordering::Relaxed) {
            let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
            let seen = rustix::net::recv(&self.socket, &mut [0_u8; 1][..], flags);
            // Nobody asked for what is there.
            if !matches!(seen, Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR)) {
                self.give_up();
            }
        }
        self.gone.load(Ordering::Relaxed)
    }

    fn start(&self, features: u64, memory: &GuestMemory, rings: &[(u16, Ring<'_>)]) -> io::Result<()> {
        self.set_up(features, memory, rings).inspect_err(|_| self.give_up())
    }

    fn stop(&self, rings: &[u16]) -> io::Result<Vec<u16>> {
        rings.iter().map(|index| self.stop_ring(*index)).collect()
    }
}

/// Waits until the process answers, and leaves the rest to a front end in another process.
pub(crate) fn wait_until_ready(socket: &UnixStream) -> io::Result<()> {
    limit_time(socket)?;
    wire::send(socket, Request::GetFeatures, &Payload::default(), &[])?;
    wire::answer::<8>(socket, Request::GetFeatures).map(drop)
}

fn limit_time(socket: &UnixStream) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))
}

fn not_socket(error: rustix::io::Errno) -> ShareError {
    ShareError::NotSocket(error.into())
}

fn descriptor(event: &EventFd) -> BorrowedFd<'_> {
    // SAFETY: the descriptor is open for as long as the event, which is borrowed.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}

/// An address, if as many bytes from there on lie in one region of memory.
fn in_one_piece(memory: &GuestMemory, address: u64, len: u64) -> io::Result<u64> {
    let region = memory.find_region(GuestAddress(address));
    let fits = region.and_then(|region| {
        let before = address.checked_sub(region.start_addr().raw_value())?;
        region.len().checked_sub(before)
    });
    match fits {
        Some(left) if left >= len => Ok(address),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "ring is not in one piece of memory")),
    }
}
