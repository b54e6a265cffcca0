// SPDX-License-Identifier: Apache-2.0
//! Many pieces of guest memory, one after the other.

use vm_memory::bitmap::Bitmap;
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryRegion, GuestRegionMmap};

use crate::GuestMemory;
use crate::buffers::{mark_dirty, push_iovecs};

type Region = GuestRegionMmap<vm_memory::bitmap::AtomicBitmap>;

/// Looks up the pieces of one request. Nearly all lie in the region of the one before, which is remembered: a request of
/// 128 KiB has 32 of them, and to search the regions for each takes longer than all the rest that is done for it.
pub struct Lookup<'a> {
    memory: &'a GuestMemory,
    last: Option<&'a Region>,
}

impl<'a> Lookup<'a> {
    /// Remembers nothing yet.
    pub fn new(memory: &'a GuestMemory) -> Self {
        Self { memory, last: None }
    }

    /// Whether all of `address..address + len` is RAM.
    pub fn contains(&mut self, address: GuestAddress, len: usize) -> bool {
        self.find(address, len).is_some() || GuestMemoryBackend::check_range(self.memory, address, len)
    }

    /// As [`push_iovecs`].
    pub fn push_iovecs(
        &mut self,
        address: GuestAddress,
        len: usize,
        buffers: &mut Vec<libc::iovec>,
    ) -> Result<(), GuestMemoryError> {
        match self.find(address, len).filter(|_| len > 0) {
            Some((region, offset)) => {
                let base = region.as_ptr().wrapping_add(offset).cast();
                buffers.push(libc::iovec { iov_base: base, iov_len: len });
                Ok(())
            }
            None => push_iovecs(self.memory, address, len, buffers),
        }
    }

    /// As [`mark_dirty`].
    pub fn mark_dirty(&mut self, address: GuestAddress, len: usize) {
        match self.find(address, len) {
            Some((region, offset)) => region.bitmap().mark_dirty(offset, len),
            None => mark_dirty(self.memory, address, len),
        }
    }

    /// The region that all of a piece lies in, and where in it.
    fn find(&mut self, address: GuestAddress, len: usize) -> Option<(&'a Region, usize)> {
        if let Some(region) = self.last
            && let Some(offset) = within(region, address, len)
        {
            return Some((region, offset));
        }
        let region = self.memory.find_region(address)?;
        self.last = Some(region);
        within(region, address, len).map(|offset| (region, offset))
    }
}

fn within(region: &Region, address: GuestAddress, len: usize) -> Option<usize> {
    let offset = usize::try_from(address.0.checked_sub(region.start_addr().0)?).ok()?;
    (offset.checked_add(len)? <= region.size()).then_some(offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backing, allocate};

    /// Two regions that touch, and one behind a hole.
    fn memory() -> std::sync::Arc<GuestMemory> {
        let regions = [(0, 8192), (8192, 8192), (32768, 4096)].map(|(at, len)| (GuestAddress(at), len));
        allocate(&regions, Backing::Anonymous).unwrap()
    }

    const LENGTHS: [usize; 8] = [0, 1, 4096, 4097, 8192, 8193, 16384, usize::MAX];

    /// Starts around every border, and those that end the address space.
    fn starts() -> impl Iterator<Item = GuestAddress> {
        let borders = [0, 4096, 8192, 16384, 32768, 36864, u64::MAX];
        borders
            .into_iter()
            .flat_map(|at: u64| [at.saturating_sub(1), at, at.saturating_add(1)])
            .map(GuestAddress)
    }

    #[test]
    fn finds_what_a_search_finds_whatever_was_looked_up_before() {
        let memory = memory();
        for before in starts() {
            for (address, len) in starts().flat_map(|start| LENGTHS.map(|len| (start, len))) {
                let mut lookup = Lookup::new(&memory);
                lookup.contains(before, 1);
                let said = (address, len);
                let inside = GuestMemoryBackend::check_range(&*memory, address, len);
                assert_eq!(lookup.contains(address, len), inside, "{said:?}");
                let (mut found, mut expected) = (Vec::new(), Vec::new());
                let good = lookup.push_iovecs(address, len, &mut found).is_ok();
                assert_eq!(good, push_iovecs(&memory, address, len, &mut expected).is_ok(), "{said:?}");
                let plain = |list: &[libc::iovec]| -> Vec<(usize, usize)> {
                    list.iter().map(|buffer| (buffer.iov_base.addr(), buffer.iov_len)).collect()
                };
                assert_eq!(plain(&found), plain(&expected), "{said:?}");
            }
        }
    }

    #[test]
    fn records_what_was_written_as_a_search_does() {
        for (address, len) in starts().flat_map(|start| [1, 4096, 8193].map(|len| (start, len))) {
            let (one, other) = (memory(), memory());
            let mut lookup = Lookup::new(&one);
            lookup.contains(GuestAddress(32768), 1);
            lookup.mark_dirty(address, len);
            mark_dirty(&other, address, len);
            let dirty = |memory: &GuestMemory| -> Vec<bool> {
                memory.iter().flat_map(|region| [0, 4096].map(|at| region.bitmap().dirty_at(at))).collect()
            };
            assert_eq!(dirty(&one), dirty(&other), "{address:?} {len}");
        }
    }
}
