// SPDX-License-Identifier: Apache-2.0
//! Guest physical memory.
//!
//! [`allocate`] makes the RAM of one machine. Each region starts at a host address aligned to 2 MiB, so that the
//! kernel can back it by transparent huge pages, and nothing is committed before the guest touches it.
//!
//! ```
//! use flotilla_memory::{Backing, GuestAddress, allocate};
//! let memory = allocate(&[(GuestAddress(0), 64 << 20)], Backing::Anonymous)?;
//! # Ok::<(), flotilla_memory::MemoryError>(())
//! ```
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod advice;
mod allocate;
mod buffers;
mod clear;
mod commit;
mod error;
mod files;
mod lookup;
mod mapping;
mod nodes;
mod options;
mod release;
mod shared_file;
#[cfg(test)]
mod tests;
mod window;

use vm_memory::bitmap::AtomicBitmap;

pub use allocate::{allocate, allocate_with};
pub use buffers::{mark_dirty, push_iovecs};
pub use clear::clear;
pub use commit::populate;
pub use error::MemoryError;
pub use files::read_file_at;
pub use lookup::Lookup;
pub use options::{Backing, Binding, HugePage, Options, TransparentPages};
pub use release::release;
pub use shared_file::SharedFile;
pub use vm_memory::{Address, Bytes, GuestAddress};
pub use window::Window;

/// All RAM of one machine. Cheap to share: devices hold an `Arc` of it.
/// The bitmap records what the VMM itself writes; guest writes come from KVM's dirty log.
pub type GuestMemory = vm_memory::GuestMemoryMmap<AtomicBitmap>;

/// Alignment in bytes of each region in the host's address space: the size of an x86-64 huge page.
pub const REGION_ALIGNMENT: usize = 2 << 20;
