// SPDX-License-Identifier: Apache-2.0
//! How the guest says it is off for memory (virtio 1.2 §5.5.6.4).

use flotilla_memory::GuestMemory;

use crate::virtio::chain::{Chain, QueueError};

/// Bytes of an entry: a tag of 16 bits and a value of 64, without a gap.
const ENTRY_LEN: usize = 10;
/// Most entries looked at, of which ten have a meaning here.
const MAX_ENTRIES: usize = 64;
/// Greater values are no numbers everywhere: JSON readers keep 53 bits.
const MAX_VALUE: u64 = (1 << 53) - 1;

/// What the guest told. A value it did not tell, or told as more than 2^53 - 1, is `None`. None of it is checked: a guest may
/// say anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Bytes swapped in.
    pub swap_in: Option<u64>,
    /// Bytes swapped out.
    pub swap_out: Option<u64>,
    /// Page faults that waited for a disk.
    pub major_faults: Option<u64>,
    /// Page faults that did not.
    pub minor_faults: Option<u64>,
    /// Bytes that nothing uses.
    pub free_memory: Option<u64>,
    /// Bytes there are.
    pub total_memory: Option<u64>,
    /// Bytes that programs can have without swapping.
    pub available_memory: Option<u64>,
    /// Bytes of files kept in memory.
    pub disk_caches: Option<u64>,
    /// Huge pages taken from the guest's pool.
    pub hugetlb_allocations: Option<u64>,
    /// Huge pages the guest's pool did not have.
    pub hugetlb_failures: Option<u64>,
}

impl Statistics {
    /// Reads what a chain tells. Tags without a meaning here are passed over.
    pub(super) fn read(chain: &Chain, memory: &GuestMemory) -> Result<Self, QueueError> {
        let mut bytes = [0; ENTRY_LEN * MAX_ENTRIES];
        let len = chain.read(memory, 0, &mut bytes)?;
        let (entries, _) = bytes.get(..len).unwrap_or_default().as_chunks::<ENTRY_LEN>();
        let mut told = Self::default();
        for [t0, t1, value @ ..] in entries {
            let value = u64::from_le_bytes(*value);
            if let Some(place) = told.field(u16::from_le_bytes([*t0, *t1])) {
                *place = (value <= MAX_VALUE).then_some(value);
            }
        }
        Ok(told)
    }

    /// The value with this tag.
    fn field(&mut self, tag: u16) -> Option<&mut Option<u64>> {
        Some(match tag {
            0 => &mut self.swap_in,
            1 => &mut self.swap_out,
            2 => &mut self.major_faults,
            3 => &mut self.minor_faults,
            4 => &mut self.free_memory,
            5 => &mut self.total_memory,
            6 => &mut self.available_memory,
            7 => &mut self.disk_caches,
            8 => &mut self.hugetlb_allocations,
            9 => &mut self.hugetlb_failures,
            _ => return None,
        })
    }
}
