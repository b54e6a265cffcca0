// SPDX-License-Identifier: Apache-2.0
//! What outlives a worker: the last console output and how its machine ended, in one file of a fixed size.
//!
//! ```text
//!        0  magic u32 · version u32 · end u64        output so far, in bytes since the machine was built
//!       16  length u32 · 0 u32 · checksum u64        of the exit; length 0 before the end
//!       64  exit report, JSON
//!   16 KiB  ring: byte n of the output is at n modulo the ring's size
//! ```
//!
//! All numbers are little-endian. Whoever starts a worker makes the file (sparse, [`LEN`] bytes) and hands it over as
//! a descriptor; the worker only ever writes to it, at fixed places. So the output survives whatever ends the worker:
//! the pages belong to the kernel. It does not survive the host: nothing is synced.
//!
//! **What `kill -9` can lose** is what the worker still gathers: fewer than [`GATHER`] bytes, all of them of the last,
//! unfinished line. A line feed, a full buffer and the end of the machine write everything out. The ring is larger
//! than what is read from it, so that a write that was cut off in the middle spoils no byte that a reader takes.
//!
//! **A reader trusts nothing in it**, since a worker may have been taken over by its guest: sizes are fixed by the
//! reader, the counter is checked, the report is bounded, checked and cleaned.

mod error;
mod exit;
mod reader;
mod writer;

pub use error::BlackBoxError;
pub use reader::{ConsoleRecord, read_console, read_exit};
pub use writer::BlackBox;

/// Size of the file in bytes.
pub const LEN: u64 = RING_AT + RING;
/// Most bytes of output that can be read back.
pub const KEPT: usize = 1 << 20;
/// Most bytes that the worker gathers before it writes them, and so more than `kill -9` can lose.
pub const GATHER: usize = 64;

/// `FLBB`.
const MAGIC: u32 = 0x4242_4c46;
const VERSION: u32 = 1;
const END_AT: u64 = 8;
const EXIT_HEAD_AT: u64 = 16;
const EXIT_AT: u64 = 64;
const RING_AT: u64 = 16 << 10;
/// Most bytes of an exit report.
const MAX_EXIT: usize = 8 << 10;
/// Most bytes written before the counter follows.
const STEP: usize = 64 << 10;
const RING: u64 = (KEPT + STEP) as u64;
/// The largest count that JavaScript can hold.
const MAX_END: u64 = (1 << 53) - 1;

const _: () = assert!(EXIT_AT + MAX_EXIT as u64 <= RING_AT, "the report ends before the ring");

/// FNV-1a: tells a report that was written to its end from one that was not. No protection against intent.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
