// SPDX-License-Identifier: Apache-2.0
//! The console of a machine over a UNIX socket: many readers, one writer, nothing lost while it is kept.
//!
//! ```text
//!   client ──▶ magic u32 'FCON' · flags u16 (0, 1 writer, 2 snapshot) · length u16 of the name · offset u64 (all ones: from
//!              now on, 0: oldest) · name of the port (none: the serial console)
//!          ◀── status u32 (0 ok, 1 writer taken, 2 bad hello, 3 full, 4 no such port) · ring u32 (bytes) · offset u64 (of the
//!              first byte)
//!          ◀──▶ raw bytes; what a reader sends is dropped, the writer of a named port sends [`frames`]
//! ```
//!
//! A snapshot is what is kept at that moment: the answer has the number of its bytes in place of the ring's size, they
//! follow in one piece, and the connection ends. So its reader knows whether it has everything.
//!
//! All numbers are little-endian. The output of the guest is one endless run of bytes, each with its offset; a ring
//! keeps the newest of them. A reader that falls behind the ring is disconnected and never silently skipped: it
//! connects again with the offset it wants, and the answer tells what there is.

mod client;
mod frames;
mod hello;
mod server;
mod writer;

pub use client::ConsoleClient;
pub use hello::{Hello, LIVE, MAGIC, MAX_PORT, Purpose, Status, Welcome};
pub use server::ConsoleServer;

use std::time::Duration;

/// What the server reads from and writes to. All calls come from the server's own threads.
pub trait Endpoint: Send + Sync {
    /// How many bytes of output are kept.
    fn capacity(&self) -> u32;
    /// Offset of the oldest kept byte, and of the byte that comes next.
    fn bounds(&self) -> (u64, u64);
    /// What is kept from `offset` on, or from the oldest byte if that is later, in one piece, and its first offset.
    fn snapshot(&self, offset: u64) -> (u64, Vec<u8>);
    /// Copies output from `offset` on, waiting up to `wait` for the first byte.
    fn read(&self, offset: u64, buffer: &mut [u8], wait: Duration) -> Chunk;
    /// Gives input to the guest, waiting up to `wait` for room. Returns how many bytes were taken.
    fn write(&self, bytes: &[u8], wait: Duration) -> usize;
    /// A writer has come, and is given output from `offset` on.
    fn enter_writer(&self, offset: u64);
    /// The writer was given output up to `offset`.
    fn writer_has(&self, offset: u64);
    /// The writer has gone.
    fn leave_writer(&self);
    /// The terminal of the writer has this size.
    fn resize(&self, columns: u16, rows: u16);
}

/// What a read of the output gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes from the offset on; zero when none came in time.
    Bytes(usize),
    /// The offset is no longer kept, or was never reached.
    Missed,
    /// The machine has ended and everything was read.
    Ended,
}
