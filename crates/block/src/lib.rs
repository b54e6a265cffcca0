// SPDX-License-Identifier: Apache-2.0
//! Disk back-ends.
//!
//! ```text
//!   BlockQueue (one for each device queue, used by one thread)
//!      ├─ engine::uring   io_uring, restricted to reads, writes and syncs of the one file
//!      └─ engine::direct  preadv, pwritev and fdatasync, for files in memory and where the host refuses io_uring
//!      ▲
//!   qcow2: looks up where the bytes of the disk lie, and hands its requests on to such queues
//! ```
//!
//! A [`RawFile`] is opened from a descriptor, never by path. Its owner takes the lock of the disk first, with
//! [`lock`]: the lock belongs to the open file and travels with the descriptor from process to process.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod alignment;
mod disk;
mod engine;
mod error;
mod file;
mod lock;
mod qcow2;
mod size;
mod space;
#[cfg(test)]
mod tests;
mod transfer;

pub use engine::uring::try_ring;
pub use error::BlockError;
pub use file::{EngineChoice, EngineKind, RawFile, RawOptions};
pub use lock::{LockKind, claim, lock, unlock};
pub use qcow2::{
    BackingFile, BackingFormat, MAX_BACKING, Qcow2, Qcow2Create, Qcow2Error, Qcow2Info, Qcow2Options,
    RecordedName, inspect as inspect_qcow2,
};
