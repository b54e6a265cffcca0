// SPDX-License-Identifier: Apache-2.0
//! The seam between a disk device and its back-end: neutral requests, owned until they complete.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use flotilla_memory::GuestMemory;

pub use crate::segments::{Segment, Segments};

/// A piece of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Length in bytes, at least 1.
    pub len: u64,
    /// Whether the host may give the space back, for the ranges of `WriteZeroes`.
    pub unmap: bool,
}

/// What to do. Offsets and lengths are in bytes, whole blocks and inside the disk: the device has checked them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Disk to guest memory.
    Read {
        /// First byte on the disk.
        offset: u64,
        /// Where it goes.
        segments: Segments,
    },
    /// Guest memory to disk.
    Write {
        /// First byte on the disk.
        offset: u64,
        /// Where it comes from.
        segments: Segments,
    },
    /// Everything completed before is durable afterwards.
    Flush,
    /// The guest needs these pieces no more; what it reads from them afterwards is undefined. A back-end that cannot
    /// give space back does nothing and succeeds.
    Discard(Vec<Range>),
    /// These pieces read as zero afterwards.
    WriteZeroes(Vec<Range>),
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
    /// Bytes moved, or why it failed. Zero for what moves none.
    pub result: io::Result<u64>,
}

/// Takes word of disks that wait for space. Called on any thread, often from several; must not block.
pub trait SpaceAlarm: Send + Sync {
    /// The host has no space left for what the guest writes to `device`. The requests wait until the device was paused
    /// and resumed.
    fn out_of_space(&self, device: &str);
}

/// A disk. Each queue of the device opens its own [`BlockQueue`].
pub trait BlockBackend: Send + Sync {
    /// Size in bytes, as it was when the disk was opened or [`BlockBackend::refresh_size`] was called.
    fn size(&self) -> u64;
    /// Whether writes are refused.
    fn read_only(&self) -> bool;
    /// A submission queue, to be used by one thread at a time.
    fn open_queue(&self, depth: u16) -> io::Result<Box<dyn BlockQueue>>;

    /// Looks how large the disk is now, after somebody made it larger. The default never changes.
    fn refresh_size(&self) -> io::Result<u64> {
        Ok(self.size())
    }

    /// Makes the disk larger, if the back-end itself keeps its size. By default its file or device does, and whoever
    /// owns that makes it larger.
    fn grow(&self, _size: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Whether its queues know `Discard` and `WriteZeroes`.
    fn can_discard(&self) -> bool {
        false
    }

    /// The smallest unit in bytes that it reads and writes; a guest must be told no smaller block.
    fn block_size(&self) -> u32 {
        512
    }

    /// Whether requests end in `submit` and never wait for a device: the content lies in the host's memory. Then they
    /// may be carried out by the vCPU that asks for them.
    fn in_memory(&self) -> bool {
        false
    }
}

/// Requests in flight of one thread.
pub trait BlockQueue: Send {
    /// Comes first on the thread that will serve the queue, so that it can prepare that thread for its work.
    fn begin(&mut self) {}
    /// Takes a request. It may start only at `kick`. A full queue answers `WouldBlock` and gives the request up.
    fn submit(&mut self, request: Request) -> io::Result<()>;
    /// Starts all that was submitted.
    fn kick(&mut self) -> io::Result<()>;
    /// Readable when completions wait; `None` if requests complete inside `submit` or `kick`.
    fn completion_event(&self) -> Option<BorrowedFd<'_>>;
    /// Moves finished requests to `done`.
    fn reap(&mut self, done: &mut Vec<Completion>) -> io::Result<()>;
    /// Requests submitted and not yet reaped.
    fn in_flight(&self) -> usize;
    /// Waits until nothing is in flight and moves all completions to `done`. What the back-end kept in memory is in its
    /// files afterwards: the machine is paused, and another process may open them. After an error with nothing in flight
    /// it is not, but the queue goes on as before.
    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()>;

    /// Whether the back-end has put work off that the next flush would have to do.
    fn has_leftovers(&self) -> bool {
        false
    }

    /// Does a little of that work. Called while no requests come.
    fn tidy(&mut self) -> io::Result<()> {
        Ok(())
    }
}
