// SPDX-License-Identifier: Apache-2.0
//! Allocation of a machine's RAM.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::Arc;

use vm_memory::bitmap::{AtomicBitmap, NewBitmap};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, GuestAddress, GuestRegionMmap, MmapRegion};

use crate::{GuestMemory, MemoryError, REGION_ALIGNMENT, advice, mapping};

const PAGE: u64 = 4096;

/// How often an aligned address is tried for before an unaligned one is good enough.
const ALIGNMENT_ATTEMPTS: usize = 8;

/// What stands behind guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backing {
    /// Private anonymous pages: the cheapest page faults.
    Anonymous,
    /// One memfd for all regions, mapped shared, so that another process can map the same memory.
    /// The regions lie in the file one after the other, in their order.
    Memfd,
}

/// Allocates the RAM of a machine. Regions are given as (first guest address, length in bytes), in ascending order.
///
/// Pages are zero and take host memory only once touched. The mappings carry `MADV_HUGEPAGE` and `MADV_DONTDUMP`.
pub fn allocate(regions: &[(GuestAddress, u64)], backing: Backing) -> Result<Arc<GuestMemory>, MemoryError> {
    let total = check(regions)?;
    let file = match backing {
        Backing::Anonymous => None,
        Backing::Memfd => {
            Some(Arc::new(memfd(total).map_err(|source| MemoryError::Memfd { len: total, source })?))
        }
    };
    let mut mapped = Vec::with_capacity(regions.len());
    let mut offset = 0;
    for &(start, len) in regions {
        let part = file.as_ref().map(|file| FileOffset::from_arc(Arc::clone(file), offset));
        mapped.push(map(start, len, part.as_ref())?);
        offset += len;
    }
    GuestMemory::from_regions(mapped).map(Arc::new).map_err(MemoryError::Order)
}

/// Checks each region by itself and returns the sum of the lengths.
fn check(regions: &[(GuestAddress, u64)]) -> Result<u64, MemoryError> {
    if regions.is_empty() {
        return Err(MemoryError::Empty);
    }
    let mut total: u64 = 0;
    for &(start, len) in regions {
        let whole = len > 0 && start.0.is_multiple_of(PAGE) && len.is_multiple_of(PAGE);
        let sum = start.0.checked_add(len).and_then(|_| total.checked_add(len));
        total = match sum {
            Some(sum) if whole && i64::try_from(sum).is_ok() => sum,
            _ => return Err(MemoryError::Region { start, len }),
        };
    }
    Ok(total)
}

fn memfd(len: u64) -> io::Result<File> {
    // SAFETY: the name is a valid C string that outlives the call.
    let descriptor = unsafe { libc::memfd_create(c"guest-ram".as_ptr(), libc::MFD_CLOEXEC) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, valid and owned by nobody else.
    let file = unsafe { File::from_raw_fd(descriptor) };
    file.set_len(len)?;
    Ok(file)
}

fn map(
    start: GuestAddress,
    len: u64,
    file: Option<&FileOffset>,
) -> Result<GuestRegionMmap<AtomicBitmap>, MemoryError> {
    let size = usize::try_from(len).map_err(|_| MemoryError::Region { start, len })?;
    let mut misplaced = Vec::new();
    loop {
        let hole = mapping::open_hole(size).map_err(|source| MemoryError::Reserve { len, source })?;
        let region = build(size, file.cloned()).map_err(|source| MemoryError::Map { start, len, source })?;
        drop(hole);
        let aligned = region.as_ptr().addr().is_multiple_of(REGION_ALIGNMENT);
        if !aligned && misplaced.len() + 1 < ALIGNMENT_ATTEMPTS {
            // Kept until the end: it occupies the gap that the kernel preferred to our hole.
            misplaced.push(region);
            continue;
        }
        if !aligned {
            tracing::warn!(
                start = start.0,
                len,
                "guest memory is not aligned to 2 MiB: huge pages will be few"
            );
        }
        advice::advise(&region);
        return GuestRegionMmap::new(region, start).ok_or(MemoryError::Region { start, len });
    }
}

fn build(
    size: usize,
    file: Option<FileOffset>,
) -> Result<MmapRegion<AtomicBitmap>, vm_memory::mmap::MmapRegionError> {
    let flags = match file {
        None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        Some(_) => libc::MAP_SHARED,
    };
    let builder = MmapRegionBuilder::new_with_bitmap(size, AtomicBitmap::with_len(size))
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(flags | libc::MAP_NORESERVE);
    match file {
        None => builder.build(),
        Some(file) => builder.with_file_offset(file).build(),
    }
}

#[cfg(test)]
mod tests {
    use vm_memory::{Bytes, GuestMemoryBackend, GuestMemoryRegion};

    use super::*;

    const MIB: u64 = 1 << 20;

    fn host_addresses(memory: &GuestMemory) -> Vec<usize> {
        memory.iter().map(|region| region.as_ptr().addr()).collect()
    }

    #[test]
    fn starts_each_region_on_a_huge_page() {
        for backing in [Backing::Anonymous, Backing::Memfd] {
            let regions = [(GuestAddress(0), 5 * MIB), (GuestAddress(1 << 32), 3 * MIB + 4096)];
            let memory = allocate(&regions, backing).unwrap();
            for address in host_addresses(&memory) {
                assert!(address.is_multiple_of(REGION_ALIGNMENT), "{address:#x} with {backing:?}");
            }
        }
    }

    #[test]
    fn gives_zeroed_memory_with_every_region() {
        let regions = [(GuestAddress(0), 2 * MIB), (GuestAddress(1 << 32), 2 * MIB)];
        let memory = allocate(&regions, Backing::Anonymous).unwrap();
        assert_eq!(memory.read_obj::<u64>(GuestAddress((1 << 32) + 8)).unwrap(), 0);
        memory.write_obj(7_u64, GuestAddress(2 * MIB - 8)).unwrap();
        assert_eq!(memory.read_obj::<u64>(GuestAddress(2 * MIB - 8)).unwrap(), 7);
        assert!(memory.read_obj::<u64>(GuestAddress(2 * MIB)).is_err());
    }

    #[test]
    fn a_memfd_holds_the_regions_in_their_order() {
        let regions = [(GuestAddress(0), MIB), (GuestAddress(1 << 32), MIB)];
        let memory = allocate(&regions, Backing::Memfd).unwrap();
        let offsets: Vec<u64> = memory.iter().map(|region| region.file_offset().unwrap().start()).collect();
        assert_eq!(offsets, [0, MIB]);
    }

    #[test]
    fn unmaps_what_it_mapped() {
        let mapped = |address: usize| {
            let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
            maps.lines().any(|line| line.starts_with(&format!("{address:x}-")))
        };
        // A size that nothing else in this process has, so that no neighbour merges with it.
        let memory = allocate(&[(GuestAddress(0), 6 * MIB)], Backing::Memfd).unwrap();
        let address = host_addresses(&memory)[0];
        assert!(mapped(address));
        drop(memory);
        assert!(!mapped(address));
    }

    #[test]
    fn keeps_guest_memory_out_of_core_dumps() {
        let memory = allocate(&[(GuestAddress(0), 4 * MIB)], Backing::Memfd).unwrap();
        let start = format!("{:x}-", host_addresses(&memory)[0]);
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let flags = smaps
            .lines()
            .skip_while(|line| !line.starts_with(&start))
            .find(|line| line.starts_with("VmFlags"))
            .unwrap();
        assert!(flags.split_whitespace().any(|flag| flag == "dd"), "{flags}");
    }

    #[test]
    fn allocates_more_than_the_host_has_without_committing_it() {
        assert!(allocate(&[(GuestAddress(0), 1 << 40)], Backing::Anonymous).is_ok());
    }

    #[test]
    fn refuses_regions_that_cannot_be() {
        let code =
            |regions: &[(GuestAddress, u64)]| allocate(regions, Backing::Anonymous).unwrap_err().code();
        assert_eq!(code(&[]), "memory.empty");
        assert_eq!(code(&[(GuestAddress(0), 0)]), "memory.region");
        assert_eq!(code(&[(GuestAddress(0), 4097)]), "memory.region");
        assert_eq!(code(&[(GuestAddress(1), 4096)]), "memory.region");
        assert_eq!(code(&[(GuestAddress(u64::MAX - 4095), 8192)]), "memory.region");
        assert_eq!(code(&[(GuestAddress(0), 8192), (GuestAddress(4096), 4096)]), "memory.order");
        assert_eq!(code(&[(GuestAddress(1 << 32), 4096), (GuestAddress(0), 4096)]), "memory.order");
    }
}
