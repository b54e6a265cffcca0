// SPDX-License-Identifier: Apache-2.0
//! The ioctls of `linux/vhost.h`, and the structures that they take.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use vmm_sys_util::eventfd::EventFd;

const VHOST_GET_FEATURES: libc::c_ulong = 0x8008_af00;
const VHOST_SET_FEATURES: libc::c_ulong = 0x4008_af00;
const VHOST_SET_OWNER: libc::c_ulong = 0xaf01;
const VHOST_SET_MEM_TABLE: libc::c_ulong = 0x4008_af03;
const VHOST_SET_VRING_NUM: libc::c_ulong = 0x4008_af10;
const VHOST_SET_VRING_ADDR: libc::c_ulong = 0x4028_af11;
const VHOST_SET_VRING_BASE: libc::c_ulong = 0x4008_af12;
const VHOST_GET_VRING_BASE: libc::c_ulong = 0xc008_af12;
const VHOST_SET_VRING_KICK: libc::c_ulong = 0x4008_af20;
const VHOST_SET_VRING_CALL: libc::c_ulong = 0x4008_af21;
const VHOST_SET_VRING_ERR: libc::c_ulong = 0x4008_af22;
const VHOST_NET_SET_BACKEND: libc::c_ulong = 0x4008_af30;

/// Most regions that a table may have: more than any machine of ours, fewer than the kernel takes (64 by default).
const MAX_REGIONS: usize = 32;

/// `struct vhost_vring_state`.
#[derive(Clone, Copy)]
#[repr(C)]
struct RingNumber {
    index: u32,
    number: u32,
}

/// `struct vhost_vring_file`.
#[derive(Clone, Copy)]
#[repr(C)]
struct RingFile {
    index: u32,
    descriptor: RawFd,
}

/// `struct vhost_vring_addr`: addresses are those of this process.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct RingAddresses {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) descriptors: u64,
    pub(crate) used: u64,
    pub(crate) available: u64,
    pub(crate) log: u64,
}

/// `struct vhost_memory_region`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MemoryRegion {
    pub(crate) guest: u64,
    pub(crate) len: u64,
    pub(crate) host: u64,
    pub(crate) flags: u64,
}

/// `struct vhost_memory` with room for as many regions as there ever are.
#[repr(C)]
struct MemoryTable {
    count: u32,
    padding: u32,
    regions: [MemoryRegion; MAX_REGIONS],
}

const _: () = assert!(size_of::<RingAddresses>() == 0x28 && size_of::<MemoryRegion>() == 32);
const _: () = assert!(size_of::<RingNumber>() == 8 && size_of::<RingFile>() == 8);

/// Which of its eventfds a ring is given.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RingEvent {
    Kick,
    Call,
    Error,
}

fn checked(answer: libc::c_int) -> io::Result<()> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes the calling process, with its memory, the owner.
pub(crate) fn set_owner(vhost: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the request has no argument.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), VHOST_SET_OWNER) })
}

/// What the kernel can do.
pub(crate) fn features(vhost: BorrowedFd<'_>) -> io::Result<u64> {
    let mut features = 0_u64;
    // SAFETY: the request writes one u64, which lives through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), VHOST_GET_FEATURES, &raw mut features) })?;
    Ok(features)
}

/// What it shall do.
pub(crate) fn set_features(vhost: BorrowedFd<'_>, features: u64) -> io::Result<()> {
    // SAFETY: the request reads one u64, which lives through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), VHOST_SET_FEATURES, &raw const features) })
}

/// Where guest memory is. The kernel touches it only between `set_backend` with a descriptor and without.
pub(crate) fn set_memory_table(vhost: BorrowedFd<'_>, regions: &[MemoryRegion]) -> io::Result<()> {
    let mut table = MemoryTable { count: 0, padding: 0, regions: [MemoryRegion::default(); MAX_REGIONS] };
    let place = table.regions.get_mut(..regions.len()).ok_or(io::ErrorKind::InvalidInput)?;
    place.copy_from_slice(regions);
    table.count = u32::try_from(regions.len()).map_err(io::Error::other)?;
    // SAFETY: the request reads the count and as many regions, all of which live through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), VHOST_SET_MEM_TABLE, &raw const table) })
}

/// The number of entries of a ring.
pub(crate) fn set_ring_size(vhost: BorrowedFd<'_>, index: u32, number: u32) -> io::Result<()> {
    set_number(vhost, VHOST_SET_VRING_NUM, RingNumber { index, number })
}

/// The position in its available ring.
pub(crate) fn set_ring_base(vhost: BorrowedFd<'_>, index: u32, number: u32) -> io::Result<()> {
    set_number(vhost, VHOST_SET_VRING_BASE, RingNumber { index, number })
}

fn set_number(vhost: BorrowedFd<'_>, request: libc::c_ulong, number: RingNumber) -> io::Result<()> {
    // SAFETY: both requests read one vhost_vring_state, which lives through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), request, &raw const number) })
}

/// The position in its available ring, once it is stopped.
pub(crate) fn ring_base(vhost: BorrowedFd<'_>, index: u32) -> io::Result<u32> {
    let mut state = RingNumber { index, number: 0 };
    // SAFETY: the request reads and writes one vhost_vring_state, which lives through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), VHOST_GET_VRING_BASE, &raw mut state) })?;
    Ok(state.number)
}

/// Where a ring is.
pub(crate) fn set_ring_addresses(vhost: BorrowedFd<'_>, addresses: &RingAddresses) -> io::Result<()> {
    // SAFETY: the request reads one vhost_vring_addr, which lives through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), VHOST_SET_VRING_ADDR, &raw const *addresses) })
}

/// An eventfd of a ring; the kernel holds it itself from then on.
pub(crate) fn set_ring_event(
    vhost: BorrowedFd<'_>,
    kind: RingEvent,
    index: u32,
    event: &EventFd,
) -> io::Result<()> {
    let request = match kind {
        RingEvent::Kick => VHOST_SET_VRING_KICK,
        RingEvent::Call => VHOST_SET_VRING_CALL,
        RingEvent::Error => VHOST_SET_VRING_ERR,
    };
    set_file(vhost, request, RingFile { index, descriptor: event.as_raw_fd() })
}

/// Starts to move frames between a ring and a tap, or stops it.
pub(crate) fn set_backend(vhost: BorrowedFd<'_>, index: u32, tap: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let descriptor = tap.map_or(-1, |tap| tap.as_raw_fd());
    set_file(vhost, VHOST_NET_SET_BACKEND, RingFile { index, descriptor })
}

fn set_file(vhost: BorrowedFd<'_>, request: libc::c_ulong, file: RingFile) -> io::Result<()> {
    // SAFETY: these requests read one vhost_vring_file, which lives through the call.
    checked(unsafe { libc::ioctl(vhost.as_raw_fd(), request, &raw const file) })
}
