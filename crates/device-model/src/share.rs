// SPDX-License-Identifier: Apache-2.0
//! The seam between the device of a shared folder and whoever serves its rings.

use std::io;
use std::os::fd::BorrowedFd;

use flotilla_memory::GuestMemory;

use crate::ring::Ring;

/// Serves the rings of a driver in a process of its own. Used from one thread at a time.
pub trait ShareBackend: Send + Sync {
    /// The features that rings may have.
    fn features(&self) -> u64;
    /// Readable when the other end is gone.
    fn event(&self) -> BorrowedFd<'_>;
    /// Whether it is gone. It comes back no more, and then neither starts nor stops.
    fn is_gone(&self) -> bool;
    /// Begins to serve rings, given with their indices, that stand still. After an error it is gone.
    fn start(&self, features: u64, memory: &GuestMemory, rings: &[(u16, Ring<'_>)]) -> io::Result<()>;
    /// Stops to serve rings; nothing is in flight afterwards. The positions in the available rings, in their order.
    fn stop(&self, rings: &[u16]) -> io::Result<Vec<u16>>;
}

/// Takes the news that nobody serves a shared folder any more. Called on a thread of the device; must not block.
pub trait ShareAlarm: Send + Sync {
    /// The back-end of the device of this name is gone. Told once.
    fn share_lost(&self, device: &str);
}
