// SPDX-License-Identifier: Apache-2.0
//! Gives guest memory back to the host while the guest runs.

use std::io;

use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::GuestMemory;
use crate::clear::drop_pages;

const PAGE: u64 = 4096;

/// Gives the whole pages of `address..address + len` back to the host; the bytes that were given back. They read as zero
/// afterwards and are recorded as dirty. What lies outside RAM is passed over: a guest may name any range.
///
/// Another thread may write there meanwhile: what it wrote is there afterwards, or zero.
///
/// # Errors
/// What the kernel says, above all for locked memory; `Unsupported` for pages of the pool of huge ones, which would be
/// anybody's then. A part may have been given back before.
pub fn release(memory: &GuestMemory, address: GuestAddress, len: u64) -> io::Result<u64> {
    let end = address.0.saturating_add(len) / PAGE * PAGE;
    let start = address.0.checked_next_multiple_of(PAGE).unwrap_or(end).min(end);
    let mut released = 0;
    for region in memory.iter() {
        let first = start.max(region.start_addr().0);
        let last = end.min(region.start_addr().0.saturating_add(region.len()));
        if first >= last {
            continue;
        }
        if region.is_hugetlbfs() == Some(true) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let advice = if region.file_offset().is_none() { libc::MADV_DONTNEED } else { libc::MADV_REMOVE };
        let len = usize::try_from(last - first).unwrap_or(usize::MAX);
        for slice in GuestMemoryBackend::get_slices(memory, GuestAddress(first), len).flatten() {
            drop_pages(&slice, advice)?;
            released += slice.len() as u64;
        }
    }
    Ok(released)
}

#[cfg(test)]
mod tests {
    use vm_memory::Bytes;
    use vm_memory::bitmap::Bitmap;

    use super::*;
    use crate::{Backing, allocate};

    const MIB: u64 = 1 << 20;

    fn resident(memory: &GuestMemory) -> u64 {
        let region = memory.iter().next().unwrap();
        let mut pages = vec![0_u8; usize::try_from(region.len() / PAGE).unwrap()];
        let len = usize::try_from(region.len()).unwrap();
        // SAFETY: the range is one live mapping, and the list has a byte for each of its pages.
        let result = unsafe { libc::mincore(region.as_ptr().cast(), len, pages.as_mut_ptr()) };
        assert_eq!(result, 0);
        pages.iter().filter(|page| **page & 1 != 0).count() as u64 * PAGE
    }

    #[test]
    fn the_host_has_it_back_and_the_guest_finds_zeros() {
        for backing in [Backing::Anonymous, Backing::Memfd] {
            let memory = allocate(&[(GuestAddress(0), 8 * MIB)], backing).unwrap();
            memory.write_slice(&vec![0xaa; 8 << 20], GuestAddress(0)).unwrap();
            assert_eq!(release(&memory, GuestAddress(2 * MIB), 4 * MIB).unwrap(), 4 * MIB);
            assert!(resident(&memory) <= 4 * MIB, "{backing:?} keeps {}", resident(&memory));
            let mut found = vec![1; 8 << 20];
            memory.read_slice(&mut found, GuestAddress(0)).unwrap();
            let expected = (0..8_u64 << 20).map(|at| if (2 * MIB..6 * MIB).contains(&at) { 0 } else { 0xaa });
            assert!(found.into_iter().eq(expected), "{backing:?}");
        }
    }

    #[test]
    fn parts_of_pages_stay_and_what_is_given_back_is_recorded() {
        let memory = allocate(&[(GuestAddress(0), MIB)], Backing::Anonymous).unwrap();
        assert_eq!(release(&memory, GuestAddress(1), 3 * PAGE).unwrap(), 2 * PAGE);
        assert_eq!(release(&memory, GuestAddress(9 * PAGE + 1), PAGE - 1).unwrap(), 0);
        let region = memory.iter().next().unwrap();
        let dirty: Vec<bool> =
            [0, 1, 2, 3, 9].iter().map(|page| region.bitmap().dirty_at(page * 4096)).collect();
        assert_eq!(dirty, [false, true, true, false, false]);
    }

    #[test]
    fn what_is_no_memory_is_passed_over() {
        let regions = [(GuestAddress(0), MIB), (GuestAddress(4 * MIB), MIB)];
        let memory = allocate(&regions, Backing::Anonymous).unwrap();
        for (start, len, expected) in [
            (0, u64::MAX, 2 * MIB),
            (MIB - PAGE, 4 * MIB, PAGE + MIB - PAGE),
            (2 * MIB, MIB, 0),
            (u64::MAX, 1, 0),
            (u64::MAX - 5, u64::MAX, 0),
        ] {
            assert_eq!(release(&memory, GuestAddress(start), len).unwrap(), expected, "{start:#x}+{len:#x}");
        }
    }

    #[test]
    fn locked_memory_is_refused() {
        let options = crate::Options { lock: true, ..crate::Options::default() };
        let memory = crate::allocate_with(&[(GuestAddress(0), 64 << 10)], &options).unwrap();
        memory.write_slice(&[1; 8192], GuestAddress(0)).unwrap();
        assert!(release(&memory, GuestAddress(0), 8192).is_err());
        assert_eq!(memory.read_obj::<u8>(GuestAddress(0)).unwrap(), 1);
    }
}
