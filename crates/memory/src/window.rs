// SPDX-License-Identifier: Apache-2.0
//! A piece of guest memory that is looked up once and used often, such as a ring.

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use vm_memory::bitmap::Bitmap;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::GuestMemory;

/// A piece of guest memory. Whoever else writes there at the same time, the guest above all, can make it give any
/// value, and nothing worse: each access is one atomic or volatile one. What is written is recorded as dirty.
pub struct Window {
    memory: Arc<GuestMemory>,
    address: GuestAddress,
    len: usize,
    /// Where it lies in the host's address space; `None` where it spans regions, which then costs a look-up each time.
    place: Option<Place>,
}

struct Place {
    start: NonNull<u8>,
    /// The region among all of them, and the offset in it, for the dirty log.
    region: usize,
    offset: usize,
}

/// Where bytes are.
enum Found {
    /// Mapped and aligned.
    Here(NonNull<u8>),
    /// To be looked up.
    At(GuestAddress),
}

// SAFETY: the pointer leads into a mapping that `memory` keeps, which may be used from any thread; no method takes it as
// a reference to plain memory.
unsafe impl Send for Window {}

impl Window {
    /// The piece `address..address + len`, if all of it is RAM.
    pub fn new(memory: &Arc<GuestMemory>, address: GuestAddress, len: usize) -> Option<Self> {
        if !GuestMemoryBackend::check_range(&**memory, address, len) {
            return None;
        }
        let place = find(memory, address, len);
        Some(Self { memory: Arc::clone(memory), address, len, place })
    }

    /// Reads a `u16` in the byte order of the host. `None` if it is not inside.
    pub fn load_u16(&self, offset: usize) -> Option<u16> {
        match self.find(offset, 2, 2)? {
            Found::Here(start) => {
                // SAFETY: `find` says that the two bytes are mapped and aligned; the mapping lives as long as `self`, and
                // all accesses through us are atomic.
                let place = unsafe { AtomicU16::from_ptr(start.cast().as_ptr()) };
                Some(place.load(Ordering::Acquire))
            }
            Found::At(address) => self.memory.load(address, Ordering::Acquire).ok(),
        }
    }

    /// Writes a `u16` in the byte order of the host. `None` if it is not inside.
    pub fn store_u16(&self, offset: usize, value: u16) -> Option<()> {
        match self.find(offset, 2, 2)? {
            Found::Here(start) => {
                // SAFETY: as for reading.
                let place = unsafe { AtomicU16::from_ptr(start.cast().as_ptr()) };
                place.store(value, Ordering::Release);
                self.mark(offset, 2);
                Some(())
            }
            Found::At(address) => self.memory.store(value, address, Ordering::Release).ok(),
        }
    }

    /// Reads two `u64` in the byte order of the host, each at once. `None` if they are not inside.
    pub fn read_pair(&self, offset: usize) -> Option<[u64; 2]> {
        match self.find(offset, 16, 8)? {
            Found::Here(start) => {
                let start = start.cast::<u64>();
                // SAFETY: `find` says that the 16 bytes are mapped and aligned; the mapping lives as long as `self`.
                let first = unsafe { start.read_volatile() };
                // SAFETY: the second half of the same 16 bytes.
                let second = unsafe { start.add(1) };
                // SAFETY: as for the first.
                let second = unsafe { second.read_volatile() };
                Some([first, second])
            }
            Found::At(address) => self.memory.read_obj(address).ok(),
        }
    }

    /// Writes two `u32` in the byte order of the host, each at once. `None` if they are not inside.
    pub fn write_pair(&self, offset: usize, pair: [u32; 2]) -> Option<()> {
        // Aligned to 4 is enough, and all that an element of a used ring is.
        match self.find(offset, 8, 4)? {
            Found::Here(start) => {
                let start = start.cast::<u32>();
                // SAFETY: `find` says that the 8 bytes are mapped and aligned to 4; the mapping lives as long as `self`.
                unsafe { start.write_volatile(pair[0]) };
                // SAFETY: the second half of the same 8 bytes.
                let second = unsafe { start.add(1) };
                // SAFETY: as for the first.
                unsafe { second.write_volatile(pair[1]) };
                self.mark(offset, 8);
                Some(())
            }
            Found::At(address) => self.memory.write_obj(pair, address).ok(),
        }
    }

    /// Where `len` bytes from `offset` are, if they are inside.
    fn find(&self, offset: usize, len: usize, alignment: usize) -> Option<Found> {
        if offset.checked_add(len)? > self.len {
            return None;
        }
        if let Some(place) = &self.place {
            // SAFETY: the sum is inside the piece, as checked above, and all of the piece is one mapping.
            let start = unsafe { place.start.add(offset) };
            if start.addr().get().is_multiple_of(alignment) {
                return Some(Found::Here(start));
            }
        }
        self.address.0.checked_add(offset as u64).map(|address| Found::At(GuestAddress(address)))
    }

    /// After the write: a dirty log that is read and cleared in between must not miss it.
    fn mark(&self, offset: usize, len: usize) {
        if let Some(place) = &self.place
            && let Some(region) = self.memory.iter().nth(place.region)
        {
            region.bitmap().mark_dirty(place.offset + offset, len);
        }
    }
}

fn find(memory: &GuestMemory, address: GuestAddress, len: usize) -> Option<Place> {
    let slice = GuestMemoryBackend::get_slices(memory, address, len).next()?.ok()?;
    if slice.len() != len {
        return None;
    }
    let mut regions = memory.iter().enumerate();
    let (region, found) = regions.find(|(_, region)| region.to_region_addr(address).is_some())?;
    let offset = usize::try_from(found.to_region_addr(address)?.0).ok()?;
    Some(Place { start: NonNull::new(slice.ptr_guard_mut().as_ptr())?, region, offset })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backing, allocate};

    fn memory() -> Arc<GuestMemory> {
        let regions = [(GuestAddress(0), 8192), (GuestAddress(8192), 8192)];
        allocate(&regions, Backing::Anonymous).unwrap()
    }

    #[test]
    fn is_the_same_memory_in_one_region_and_across_two() {
        let memory = memory();
        for start in [4096, 8192 - 32, 8192] {
            let window = Window::new(&memory, GuestAddress(start), 64).unwrap();
            for offset in 0..=48_usize {
                let at = GuestAddress(start + offset as u64);
                memory.write_obj([1_u64, 2], at).unwrap();
                assert_eq!(window.read_pair(offset), Some([1, 2]), "{start} {offset}");
                window.write_pair(offset, [3, 4]).unwrap();
                assert_eq!(memory.read_obj::<[u32; 2]>(at).unwrap(), [3, 4], "{start} {offset}");
                // Atomic access is for what is aligned; a ring always is.
                if offset.is_multiple_of(2) {
                    window.store_u16(offset, 5).unwrap();
                    assert_eq!((memory.read_obj::<u16>(at).unwrap(), window.load_u16(offset)), (5, Some(5)));
                }
            }
        }
    }

    #[test]
    fn ends_where_it_ends() {
        let memory = memory();
        let window = Window::new(&memory, GuestAddress(4096), 32).unwrap();
        assert_eq!((window.load_u16(30), window.load_u16(31), window.load_u16(32)), (Some(0), None, None));
        assert_eq!((window.store_u16(31, 1), window.store_u16(usize::MAX, 1)), (None, None));
        assert_eq!((window.read_pair(17), window.read_pair(usize::MAX - 3)), (None, None));
        assert_eq!((window.write_pair(25, [1; 2]), window.write_pair(24, [1; 2])), (None, Some(())));
        assert!(Window::new(&memory, GuestAddress(16384 - 32), 33).is_none());
        assert!(Window::new(&memory, GuestAddress(u64::MAX), 2).is_none());
    }

    #[test]
    fn records_what_it_writes() {
        let memory = memory();
        let window = Window::new(&memory, GuestAddress(8192), 8192).unwrap();
        window.store_u16(4096, 1).unwrap();
        let dirty = |page: usize| {
            let region = memory.iter().nth(page / 2).unwrap();
            region.bitmap().dirty_at(page % 2 * 4096)
        };
        assert_eq!([dirty(0), dirty(1), dirty(2), dirty(3)], [false, false, false, true]);
    }
}
