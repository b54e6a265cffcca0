// SPDX-License-Identifier: Apache-2.0
//! Allocation of a machine's RAM.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::sync::Arc;

use vm_memory::bitmap::{AtomicBitmap, NewBitmap};
use vm_memory::mmap::{MmapRegionBuilder, MmapRegionError};
use vm_memory::{FileOffset, GuestAddress, GuestRegionMmap, MmapRegion};

use crate::options::{Backing, HugePage, Options};
use crate::{GuestMemory, MemoryError, REGION_ALIGNMENT, advice, commit, mapping, nodes};

/// How often an aligned address is tried for before an unaligned one is good enough.
const ALIGNMENT_ATTEMPTS: usize = 8;

/// Allocates the RAM of a machine. Regions are given as (first guest address, length in bytes), in ascending order.
///
/// Pages are zero and take host memory only once touched. The mappings carry `MADV_HUGEPAGE` and `MADV_DONTDUMP`.
pub fn allocate(regions: &[(GuestAddress, u64)], backing: Backing) -> Result<Arc<GuestMemory>, MemoryError> {
    allocate_with(regions, &Options { backing, ..Options::default() })
}

/// As [`allocate`], with all that can be chosen. Nothing stays behind after an error.
pub fn allocate_with(
    regions: &[(GuestAddress, u64)],
    options: &Options,
) -> Result<Arc<GuestMemory>, MemoryError> {
    let total = check(regions, options.backing.page())?;
    let file = file_of(options.backing, total)?.map(Arc::new);
    let mut mapped = Vec::with_capacity(regions.len());
    let mut offset = 0;
    for &(start, len) in regions {
        let part = file.as_ref().map(|file| FileOffset::from_arc(Arc::clone(file), offset));
        mapped.push(map(start, len, part.as_ref(), options)?);
        offset += len;
    }
    let memory = GuestMemory::from_regions(mapped).map_err(MemoryError::Order)?;
    nodes::bind(&memory, &options.bindings)?;
    commit::commit(&memory, options)?;
    Ok(Arc::new(memory))
}

fn file_of(backing: Backing, len: u64) -> Result<Option<File>, MemoryError> {
    let flags = match backing {
        Backing::Anonymous => return Ok(None),
        Backing::Memfd => 0,
        Backing::HugePages(HugePage::Size2M) => libc::MFD_HUGETLB | libc::MFD_HUGE_2MB,
        Backing::HugePages(HugePage::Size1G) => libc::MFD_HUGETLB | libc::MFD_HUGE_1GB,
    };
    memfd(len, flags).map(Some).map_err(|source| match backing {
        // The kernel knows no pages of this size.
        Backing::HugePages(size) => MemoryError::HugePages { page: size.bytes(), source },
        Backing::Anonymous | Backing::Memfd => MemoryError::Memfd { len, source },
    })
}

/// Checks each region by itself and returns the sum of the lengths.
fn check(regions: &[(GuestAddress, u64)], page: u64) -> Result<u64, MemoryError> {
    if regions.is_empty() {
        return Err(MemoryError::Empty);
    }
    let mut total: u64 = 0;
    for &(start, len) in regions {
        let whole = len > 0 && start.0.is_multiple_of(page) && len.is_multiple_of(page);
        let sum = start.0.checked_add(len).and_then(|_| total.checked_add(len));
        total = match sum {
            Some(sum) if whole && i64::try_from(sum).is_ok() => sum,
            _ => return Err(MemoryError::Region { start, len }),
        };
    }
    Ok(total)
}

fn memfd(len: u64, flags: libc::c_uint) -> io::Result<File> {
    // SAFETY: the name is a valid C string that outlives the call.
    let descriptor = unsafe { libc::memfd_create(c"guest-ram".as_ptr(), libc::MFD_CLOEXEC | flags) };
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
    options: &Options,
) -> Result<GuestRegionMmap<AtomicBitmap>, MemoryError> {
    let size = usize::try_from(len).map_err(|_| MemoryError::Region { start, len })?;
    if let Backing::HugePages(page) = options.backing {
        // The kernel itself puts such a mapping where its pages fit, and takes them out of the pool now: without enough of them
        // it refuses here and not by a signal once the guest comes to the last one.
        let region = build(size, file.cloned(), options.backing)
            .map_err(|error| not_mapped(start, len, page, error))?;
        advice::advise(&region, options)?;
        return GuestRegionMmap::new(region, start).ok_or(MemoryError::Region { start, len });
    }
    let mut misplaced = Vec::new();
    loop {
        let hole = mapping::open_hole(size).map_err(|source| MemoryError::Reserve { len, source })?;
        let region = build(size, file.cloned(), options.backing).map_err(|source| MemoryError::Map {
            start,
            len,
            source,
        })?;
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
        advice::advise(&region, options)?;
        return GuestRegionMmap::new(region, start).ok_or(MemoryError::Region { start, len });
    }
}

fn not_mapped(start: GuestAddress, len: u64, page: HugePage, error: MmapRegionError) -> MemoryError {
    match error {
        MmapRegionError::Mmap(source) if source.raw_os_error() == Some(libc::ENOMEM) => {
            MemoryError::HugePages { page: page.bytes(), source }
        }
        source => MemoryError::Map { start, len, source },
    }
}

fn build(
    size: usize,
    file: Option<FileOffset>,
    backing: Backing,
) -> Result<MmapRegion<AtomicBitmap>, MmapRegionError> {
    let flags = match file {
        None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        Some(_) => libc::MAP_SHARED,
    };
    let huge = matches!(backing, Backing::HugePages(_));
    // Reserved from the pool where it is one; else taken as it is used.
    let flags = if huge { flags } else { flags | libc::MAP_NORESERVE };
    let builder = MmapRegionBuilder::new_with_bitmap(size, AtomicBitmap::with_len(size))
        .with_mmap_prot(libc::PROT_READ | libc::PROT_WRITE)
        .with_mmap_flags(flags)
        .with_hugetlbfs(huge);
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
