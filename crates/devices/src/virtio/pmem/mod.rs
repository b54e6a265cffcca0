// SPDX-License-Identifier: Apache-2.0
//! Persistent memory (virtio 1.2 §5.19): a file that the guest finds in its address space and reads without asking.
//!
//! ```text
//!   guest ── loads, stores ──▶ memory slot ══ the host's cache of the file
//!     └── flush ──▶ one queue ──▶ I/O thread ──▶ fdatasync
//! ```
//!
//! What the guest reads there never passes through this process, which does not look at the mapping either: a file that is cut short
//! under it is a fault of the vCPU that comes to its end, and no signal. The specification has no bit for memory that may only be
//! read. Stores to such memory leave the guest, are counted and vanish.

pub mod device;
mod metrics;
mod service;
mod state;
#[cfg(test)]
mod tests;
