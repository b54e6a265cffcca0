// SPDX-License-Identifier: Apache-2.0
//! Clears guest memory.

use std::io;

use vm_memory::{
    Address, Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryError, GuestMemoryRegion, VolatileSlice,
};

use crate::GuestMemory;

const PAGE: u64 = 4096;
/// Bytes cleared at once.
const ZEROS: u64 = 64 << 10;
/// From so many bytes of whole pages on, giving them back is cheaper than writing them.
const GIVEN_BACK: u64 = 1 << 20;

/// Clears `len` bytes at `address`. Whole pages go back to the host where there are many: then the work is bounded by what
/// was touched, however much is cleared, and nothing is committed by it.
///
/// No thread may write there meanwhile. A range outside RAM is an error; then a part may have been cleared.
pub fn clear(memory: &GuestMemory, address: GuestAddress, len: u64) -> Result<(), GuestMemoryError> {
    let outside = GuestMemoryError::InvalidGuestAddress(address);
    let end = address.0.checked_add(len).ok_or(outside)?;
    let first = address.0.checked_next_multiple_of(PAGE).unwrap_or(end).min(end);
    let last = (end / PAGE * PAGE).max(first);
    if last - first < GIVEN_BACK {
        return write_zeros(memory, address.0, end);
    }
    write_zeros(memory, address.0, first)?;
    give_back(memory, first, last)?;
    write_zeros(memory, last, end)
}

/// Clears whole pages.
fn give_back(memory: &GuestMemory, first: u64, last: u64) -> Result<(), GuestMemoryError> {
    let mut start = first;
    while start < last {
        let address = GuestAddress(start);
        let region = memory.find_region(address).ok_or(GuestMemoryError::InvalidGuestAddress(address))?;
        let len = (last - start).min(region.len() - address.unchecked_offset_from(region.start_addr()));
        // A page that goes back to the pool is anybody's, and no longer reserved for this machine.
        if region.is_hugetlbfs() == Some(true) {
            return write_zeros(memory, start, last);
        }
        let advice = if region.file_offset().is_none() { libc::MADV_DONTNEED } else { libc::MADV_REMOVE };
        for slice in
            GuestMemoryBackend::get_slices(memory, address, usize::try_from(len).unwrap_or(usize::MAX))
        {
            if let Err(error) = drop_pages(&slice?, advice) {
                tracing::debug!(%error, "kernel keeps guest memory: its pages are written");
                return write_zeros(memory, start, last);
            }
        }
        start += len;
    }
    Ok(())
}

/// Gives the pages of a slice back to the host: they read as zero afterwards.
pub(crate) fn drop_pages<B: vm_memory::bitmap::BitmapSlice>(
    slice: &VolatileSlice<'_, B>,
    advice: i32,
) -> io::Result<()> {
    let guard = slice.ptr_guard_mut();
    // SAFETY: the range is a part of a live mapping that the memory owns, and bytes that no Rust reference points at: their
    // becoming zero is like any write by the guest. The kernel refuses what is not made of whole pages.
    let result = unsafe { libc::madvise(guard.as_ptr().cast(), slice.len(), advice) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    slice.bitmap().mark_dirty(0, slice.len());
    Ok(())
}

fn write_zeros(memory: &GuestMemory, start: u64, end: u64) -> Result<(), GuestMemoryError> {
    let zeros = vec![0; usize::try_from(ZEROS.min(end - start)).unwrap_or_default()];
    let mut at = start;
    while at < end {
        let part = zeros.get(..usize::try_from(end - at).unwrap_or(zeros.len()).min(zeros.len()));
        let part = part.unwrap_or_default();
        memory.write_slice(part, GuestAddress(at))?;
        at += part.len() as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vm_memory::bitmap::Bitmap;

    use super::*;
    use crate::{Backing, allocate};

    const MIB: u64 = 1 << 20;
    const HIGH: u64 = 1 << 32;

    /// Bytes of the mapping at `address` that the host has committed.
    fn committed(address: usize) -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let start = format!("{address:x}-");
        let rss =
            smaps.lines().skip_while(|line| !line.starts_with(&start)).find(|line| line.starts_with("Rss:"));
        rss.unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    #[test]
    fn clears_just_what_it_is_told_to() {
        for backing in [Backing::Anonymous, Backing::Memfd] {
            // Ends that lie on no page, and a range across two regions.
            for (start, end) in [(5, 9), (4096, 8192), (4095, 3 * MIB + 7), (MIB, 8 * MIB), (0, 0)] {
                let regions = [(GuestAddress(0), 4 * MIB), (GuestAddress(4 * MIB), 4 * MIB)];
                let memory = allocate(&regions, backing).unwrap();
                memory.write_slice(&vec![0xaa; 8 << 20], GuestAddress(0)).unwrap();
                clear(&memory, GuestAddress(start), end - start).unwrap();
                let mut found = vec![1; 8 << 20];
                memory.read_slice(&mut found, GuestAddress(0)).unwrap();
                let wrong = (0..).zip(&found).find(|&(at, &byte)| (byte == 0) != (start..end).contains(&at));
                assert_eq!(wrong, None, "{start:#x}..{end:#x} with {backing:?}");
            }
        }
    }

    #[test]
    fn costs_what_was_touched_and_not_what_is_cleared() {
        let memory = allocate(&[(GuestAddress(0), 256 * MIB)], Backing::Anonymous).unwrap();
        let address = memory.iter().next().unwrap().as_ptr().addr();
        memory.write_slice(&vec![1; 4 << 20], GuestAddress(8 * MIB)).unwrap();
        assert!(committed(address) >= 4 * MIB);
        clear(&memory, GuestAddress(100), 255 * MIB).unwrap();
        assert!(committed(address) <= 4 * MIB, "{} bytes are committed", committed(address));
    }

    #[test]
    fn records_what_it_cleared() {
        let memory = allocate(&[(GuestAddress(0), 4 * MIB)], Backing::Anonymous).unwrap();
        clear(&memory, GuestAddress(4096), 2 * MIB).unwrap();
        let region = memory.iter().next().unwrap();
        let dirty: Vec<bool> =
            [0, 1, 512, 513].iter().map(|page| region.bitmap().dirty_at(page * 4096)).collect();
        assert_eq!(dirty, [false, true, true, false]);
    }

    #[test]
    fn refuses_what_is_not_all_ram() {
        let memory =
            allocate(&[(GuestAddress(0), 4 * MIB), (GuestAddress(HIGH), MIB)], Backing::Anonymous).unwrap();
        for (start, len) in
            [(2 * MIB, 4 * MIB), (5 * MIB, 2 * MIB), (HIGH, 3 * MIB), (u64::MAX - 5, 6), (u64::MAX, 1)]
        {
            assert!(clear(&memory, GuestAddress(start), len).is_err(), "{start:#x}+{len:#x}");
        }
    }
}
