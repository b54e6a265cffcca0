// SPDX-License-Identifier: Apache-2.0
//! The seam between a network device and its back-end: frames with a virtio-net header in guest memory.

use std::io;
use std::os::fd::BorrowedFd;

use flotilla_memory::GuestMemory;

use crate::block::Segment;

/// Length in bytes of the header before each frame (virtio 1.2 §5.1.6, with `num_buffers`).
pub const FRAME_HEADER_LEN: usize = 12;

/// What a back-end can do to frames for the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads {
    /// Checksums may be partial.
    pub checksum: bool,
    /// TCP segments over IPv4 may be larger than the MTU.
    pub tso4: bool,
    /// TCP segments over IPv6 may be larger than the MTU.
    pub tso6: bool,
    /// ECN bits may be set in such segments.
    pub ecn: bool,
}

/// A source and sink of frames. Each frame begins with the virtio-net header.
pub trait PacketBackend: Send + Sync {
    /// What the back-end offers.
    fn offloads(&self) -> Offloads;
    /// Tells what the guest accepts; called at each activation.
    fn set_guest_offloads(&self, offloads: Offloads) -> io::Result<()>;
    /// Readable when a frame waits.
    fn receive_event(&self) -> BorrowedFd<'_>;
    /// Receives one frame into the segments and gives its length, `Ok(None)` when none waits. A frame that does not fit
    /// is cut; the length is then more than the segments have, if not all of it.
    fn receive(&self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<Option<usize>>;
    /// Throws away the frames that wait: they are not for the driver that comes next.
    fn discard(&self) -> io::Result<()>;
    /// Sends one frame from the segments. `WouldBlock` means it was dropped because the back-end is full.
    fn send(&self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<usize>;
}
