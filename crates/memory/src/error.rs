// SPDX-License-Identifier: Apache-2.0
//! Why memory could not be had.

use std::io;

use thiserror::Error;
use vm_memory::{GuestAddress, GuestRegionCollectionError, mmap::MmapRegionError};

/// Why guest memory could not be allocated. Nothing stays mapped after an error.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// No region was asked for.
    #[error("No memory region was given: a machine needs at least one")]
    Empty,
    /// A region is empty, not made of whole pages, or runs past the end of the address space.
    #[error("Memory region {start:#x}+{len:#x} must be whole 4 KiB pages inside the address space", start = start.0)]
    Region {
        /// First guest address.
        start: GuestAddress,
        /// Length in bytes.
        len: u64,
    },
    /// Two regions overlap or are not in ascending order.
    #[error("Memory regions overlap or are out of order: give them by ascending guest address")]
    Order(#[source] GuestRegionCollectionError),
    /// The memfd could not be made or sized.
    #[error("Cannot create a memfd of {len} bytes: check the process's file size and descriptor limits")]
    Memfd {
        /// Length in bytes.
        len: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Address space could not be reserved.
    #[error("Cannot reserve {len} bytes of address space: lower the machine's memory or raise RLIMIT_AS")]
    Reserve {
        /// Length in bytes.
        len: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A region could not be mapped.
    #[error("Cannot map {len} bytes of guest memory at {start:#x}: lower the machine's memory or free some on the host", start = start.0)]
    Map {
        /// First guest address.
        start: GuestAddress,
        /// Length in bytes.
        len: u64,
        /// What the kernel said.
        #[source]
        source: MmapRegionError,
    },
}

impl MemoryError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "memory.empty",
            Self::Region { .. } => "memory.region",
            Self::Order(_) => "memory.order",
            Self::Memfd { .. } => "memory.memfd",
            Self::Reserve { .. } => "memory.reserve",
            Self::Map { .. } => "memory.map",
        }
    }
}
