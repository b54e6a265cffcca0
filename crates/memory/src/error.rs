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
    #[error("Memory region {start:#x}+{len:#x} must be whole pages inside the address space", start = start.0)]
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
    /// The host's pool has too few huge pages, or none of the size.
    #[error("Host has not enough free huge pages of {} KiB", page >> 10)]
    HugePages {
        /// Bytes of a page.
        page: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Memory could not be committed in advance.
    #[error("Cannot commit guest memory in advance: lower the machine's memory or free some on the host")]
    Prefault {
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// Memory could not be locked.
    #[error("Cannot lock {len} bytes of guest memory: this process may lock {limit}")]
    Lock {
        /// Bytes that were to be locked.
        len: u64,
        /// Bytes that the process may lock.
        limit: u64,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The kernel does not merge pages.
    #[error("Kernel of this host cannot merge equal pages")]
    Mergeable {
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Memory could not be bound to nodes.
    #[error("Cannot bind guest memory to the host's NUMA nodes {nodes:?}")]
    Node {
        /// Their numbers.
        nodes: Vec<u32>,
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
            Self::HugePages { .. } => "memory.huge_pages",
            Self::Prefault { .. } => "memory.prefault",
            Self::Lock { .. } => "memory.lock",
            Self::Mergeable { .. } => "memory.mergeable",
            Self::Node { .. } => "memory.node",
            Self::Map { .. } => "memory.map",
        }
    }
}
