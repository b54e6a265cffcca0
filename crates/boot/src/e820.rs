// SPDX-License-Identifier: Apache-2.0
//! The memory map a guest is told.

use flotilla_memory::GuestMemory;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

use crate::layout::{EBDA, ECAM, HIMEM_START, Window};

/// What a range of addresses is. The values are those of E820 and of PVH alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ram = 1,
    Reserved = 2,
}

impl Kind {
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved => 2,
        }
    }
}

/// An entry of the memory map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) range: Window,
    pub(crate) kind: Kind,
}

/// The memory map, by ascending address: conventional memory, the reserved rest of the first MiB (where the ACPI
/// tables lie), RAM, and the PCI configuration space, which Linux uses only where it is reserved.
pub(crate) fn map(memory: &GuestMemory) -> Vec<Entry> {
    let entry = |start: u64, end: u64, kind| Entry { range: Window { start, len: end - start }, kind };
    let mut map = vec![entry(0, EBDA, Kind::Ram), entry(EBDA, HIMEM_START, Kind::Reserved)];
    for region in memory.iter() {
        let start = region.start_addr().0.max(HIMEM_START);
        let end = region.start_addr().0.saturating_add(region.len());
        if start < end {
            map.push(entry(start, end, Kind::Ram));
        }
    }
    map.push(entry(ECAM.start, ECAM.end(), Kind::Reserved));
    map.sort_by_key(|entry| entry.range.start);
    map
}

/// The range of RAM that holds `address`, as (start, end).
pub(crate) fn region_of(memory: &GuestMemory, address: u64) -> Option<(u64, u64)> {
    memory
        .iter()
        .map(|region| (region.start_addr().0, region.start_addr().0.saturating_add(region.len())))
        .find(|&(start, end)| (start..end).contains(&address))
}
