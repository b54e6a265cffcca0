// SPDX-License-Identifier: Apache-2.0
//! Steers the kernel to an aligned address without taking ownership of the mapping away from vm-memory.
//!
//! A region that vm-memory maps itself is unmapped when it is dropped; one that it is handed is not. So we do not
//! hand it one: we reserve more than is needed, give back an aligned piece of exactly the right size, and let
//! vm-memory's own `mmap` fall into that hole while the trimmed ends keep its neighbours occupied.
//!
//! ```text
//!   reserved   |--------------------------------------------|
//!   after trim |--head--|        hole (aligned)      |-tail-|
//! ```
//!
//! Another thread may take the hole first. Then the region is merely unaligned, and we try again.

use std::io;
use std::ptr;

use vm_memory::MmapRegion;
use vm_memory::bitmap::AtomicBitmap;

use crate::REGION_ALIGNMENT;

/// A range of the host's address space that belongs to us and holds nothing.
#[derive(Debug)]
pub(crate) struct Reservation {
    start: usize,
    len: usize,
}

impl Reservation {
    /// Reserves `len` bytes anywhere.
    pub(crate) fn new(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: no fixed address is asked for, so no existing mapping is touched, and the result is checked.
        let address = unsafe { libc::mmap(ptr::null_mut(), len, libc::PROT_NONE, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: address.addr(), len })
    }

    /// Its first address.
    pub(crate) fn start(&self) -> usize {
        self.start
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.len == 0 {
            return;
        }
        // SAFETY: the range came from our own mmap, nothing points into it, and it is given back only here.
        unsafe { libc::munmap(ptr::without_provenance_mut(self.start), self.len) };
    }
}

/// The trimmed ends around an aligned hole; they keep other mappings out until dropped.
#[derive(Debug)]
pub(crate) struct Hole {
    _head: Reservation,
    _tail: Reservation,
}

/// Opens an aligned hole of `len` bytes.
pub(crate) fn open_hole(len: usize) -> io::Result<Hole> {
    let too_large = || io::Error::from(io::ErrorKind::OutOfMemory);
    let whole = Reservation::new(len.checked_add(REGION_ALIGNMENT).ok_or_else(too_large)?)?;
    let (start, end) = (whole.start, whole.start + whole.len);
    std::mem::forget(whole);
    let aligned = start.next_multiple_of(REGION_ALIGNMENT);
    let head = Reservation { start, len: aligned - start };
    let tail = Reservation { start: aligned + len, len: end - (aligned + len) };
    drop(Reservation { start: aligned, len });
    Ok(Hole { _head: head, _tail: tail })
}

/// Gives advice on a whole region, one that changes no content.
pub(crate) fn advise_whole(region: &MmapRegion<AtomicBitmap>, advice: i32) -> io::Result<()> {
    // SAFETY: the range is one live mapping that `region` owns, and the advice, one of those in the module `advice`, leaves
    // its content as it is.
    let result = unsafe { libc::madvise(region.as_ptr().cast(), region.size(), advice) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
