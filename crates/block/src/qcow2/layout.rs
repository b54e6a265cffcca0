// SPDX-License-Identifier: Apache-2.0
//! Where things lie: sizes that follow from the header, and the entries of the L1 and L2 tables.

use std::io;
use std::ops::Range;

use super::bytes::index;
use super::error::damaged;
use super::header::Header;

/// "Copied": the reference count is exactly one, so what the entry names may be written in place.
pub(super) const COPIED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
const ZERO: u64 = 1;
/// Bits 9 to 55 of an L1 or L2 entry.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The sector of a compressed descriptor.
const SECTOR: u64 = 512;
/// Tables are cached in pieces of at most so many bytes.
const SLICE_BYTES: u64 = 4096;

/// Sizes that follow from the header and never change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) version: u32,
    pub(super) cluster_bits: u32,
    pub(super) refcount_order: u32,
}

/// What an L2 entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The content is that of the backing file.
    Hole,
    /// Reads as zero. A cluster may be set aside for it.
    Zero { reserved: Option<u64>, copied: bool },
    /// Lies in the file as it is.
    Data { at: u64, copied: bool },
    /// Lies in the file compressed.
    Compressed { at: u64, len: u64 },
}

impl Geometry {
    pub(super) fn of(header: &Header) -> Self {
        Self {
            version: header.version,
            cluster_bits: header.cluster_bits,
            refcount_order: header.refcount_order,
        }
    }

    pub(super) fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    pub(super) fn cluster_of(&self, offset: u64) -> u64 {
        offset >> self.cluster_bits
    }

    /// The first byte of a cluster, host or guest. Saturates: what is that large fails the bounds afterwards.
    pub(super) fn start_of(&self, cluster: u64) -> u64 {
        cluster.saturating_mul(self.cluster_size())
    }

    /// How many clusters `len` bytes need.
    pub(super) fn clusters_for(&self, len: u64) -> u64 {
        len.div_ceil(self.cluster_size())
    }

    /// The position in its cluster.
    pub(super) fn within(&self, offset: u64) -> u64 {
        offset & (self.cluster_size() - 1)
    }

    /// Entries of an L2 table, as a power of two.
    fn l2_bits(&self) -> u32 {
        self.cluster_bits - 3
    }

    /// Entries of an L2 table.
    pub(super) fn l2_entries(&self) -> u64 {
        1 << self.l2_bits()
    }

    /// The L1 index of a guest cluster.
    pub(super) fn l1_index(&self, cluster: u64) -> usize {
        index(cluster >> self.l2_bits())
    }

    /// How many L1 entries a disk of `size` bytes needs.
    pub(super) fn l1_entries(&self, size: u64) -> u64 {
        self.clusters_for(size).div_ceil(self.l2_entries())
    }

    /// Bytes of a cached piece of a table.
    pub(super) fn slice_bytes(&self) -> u64 {
        self.cluster_size().min(SLICE_BYTES)
    }

    /// L2 entries of a cached piece.
    pub(super) fn slice_entries(&self) -> u64 {
        self.slice_bytes() / 8
    }

    /// Entries of a refcount block.
    pub(super) fn refcounts_per_block(&self) -> u64 {
        (self.cluster_size() * 8) >> self.refcount_order
    }

    /// Refcounts in a cached piece of a block.
    pub(super) fn refcounts_per_slice(&self) -> u64 {
        (self.slice_bytes() * 8) >> self.refcount_order
    }

    /// Understands an L1 entry: where the L2 table lies (`None`: there is none) and whether it may be written.
    pub(super) fn l1(&self, entry: u64) -> io::Result<Option<(u64, bool)>> {
        let at = entry & OFFSET;
        if entry & !(OFFSET | COPIED) != 0 {
            return Err(damaged("L1 entry has reserved bits"));
        }
        if at == 0 {
            return Ok(None);
        }
        if self.within(at) != 0 {
            return Err(damaged("L2 table is not aligned to a cluster"));
        }
        Ok(Some((at, entry & COPIED != 0)))
    }

    /// Understands an L2 entry.
    pub(super) fn l2(&self, entry: u64) -> io::Result<Entry> {
        if entry == 0 {
            return Ok(Entry::Hole);
        }
        if entry & COMPRESSED != 0 {
            return self.compressed(entry);
        }
        let (at, copied) = (entry & OFFSET, entry & COPIED != 0);
        let zero = entry & ZERO != 0;
        if entry & !(OFFSET | COPIED | ZERO) != 0 || (zero && self.version < 3) {
            return Err(damaged("L2 entry has reserved bits"));
        }
        if self.within(at) != 0 {
            return Err(damaged("data cluster is not aligned"));
        }
        match (zero, at) {
            (true, 0) => Ok(Entry::Zero { reserved: None, copied: false }),
            (true, at) => Ok(Entry::Zero { reserved: Some(at), copied }),
            // Offset 0 with the flag is for external data files, which are refused.
            (false, 0) => Err(damaged("L2 entry names the header as data")),
            (false, at) => Ok(Entry::Data { at, copied }),
        }
    }

    fn compressed(&self, entry: u64) -> io::Result<Entry> {
        if entry & COPIED != 0 {
            return Err(damaged("compressed cluster claims to be writable in place"));
        }
        let bits = 62 - (self.cluster_bits - 8);
        let descriptor = entry & (COMPRESSED - 1);
        let at = descriptor & ((1 << bits) - 1);
        let sectors = (descriptor >> bits) + 1;
        if at < self.cluster_size() || at >> 56 != 0 {
            return Err(damaged("compressed cluster lies outside the image"));
        }
        let len = sectors * SECTOR - at % SECTOR;
        Ok(Entry::Compressed { at, len })
    }

    /// The host clusters that a piece of the file touches.
    pub(super) fn touched(&self, at: u64, len: u64) -> Range<u64> {
        self.cluster_of(at)..self.cluster_of(at.saturating_add(len.max(1) - 1)) + 1
    }
}

/// The L2 entry of a data cluster of ours.
pub(super) fn data_entry(at: u64) -> u64 {
    at | COPIED
}

/// The L2 entry of a cluster that reads as zero, with what is set aside for it.
pub(super) fn zero_entry(reserved: Option<u64>) -> u64 {
    ZERO | reserved.map_or(0, data_entry)
}
