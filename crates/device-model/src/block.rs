// SPDX-License-Identifier: Apache-2.0
//! The seam between a disk device and its back-end: neutral requests, owned until they complete.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use flotilla_memory::{GuestAddress, GuestMemory};

/// A piece of guest memory that takes part in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub address: GuestAddress,
    /// Length in bytes, at least 1. The device has checked that the whole segment lies in RAM.
    pub len: u32,
}

/// What to do. Offsets and lengths are in bytes and inside the disk: the device has checked them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Disk to guest memory.
    Read {
        /// First byte on the disk.
        offset: u64,
        /// Where it goes.
        segments: Vec<Segment>,
    },
    /// Guest memory to disk.
    Write {
        /// First byte on the disk.
        offset: u64,
        /// Where it comes from.
        segments: Vec<Segment>,
    },
    /// Everything completed before is durable afterwards.
    Flush,
}

/// A request owns what it touches until its completion is taken.
pub struct Request {
    /// Chosen by the device, given back in the completion.
    pub token: u64,
    /// The guest memory that the segments lie in.
    pub memory: Arc<GuestMemory>,
    /// What to do.
    pub operation: Operation,
}

/// The end of a request.
#[derive(Debug)]
pub struct Completion {
    /// The token of the request.
    pub token: u64,
    /// Bytes moved, or why it failed.
    pub result: io::Result<u64>,
}

/// A disk. Each queue of the device opens its own [`BlockQueue`].
pub trait BlockBackend: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> u64;
    /// Whether writes are refused.
    fn read_only(&self) -> bool;
    /// A submission queue, to be used by one thread.
    fn open_queue(&self, depth: u16) -> io::Result<Box<dyn BlockQueue>>;
}

/// Requests in flight of one thread.
pub trait BlockQueue: Send {
    /// Takes a request. It may start only at `kick`. A full queue answers `WouldBlock` and gives the request up.
    fn submit(&mut self, request: Request) -> io::Result<()>;
    /// Starts all that was submitted.
    fn kick(&mut self) -> io::Result<()>;
    /// Readable when completions wait; `None` if requests complete inside `kick`.
    fn completion_event(&self) -> Option<BorrowedFd<'_>>;
    /// Moves finished requests to `done`.
    fn reap(&mut self, done: &mut Vec<Completion>) -> io::Result<()>;
    /// Requests submitted and not yet reaped.
    fn in_flight(&self) -> usize;
    /// Waits until nothing is in flight and moves all completions to `done`.
    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()>;
}
