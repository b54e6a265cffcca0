// SPDX-License-Identifier: Apache-2.0
//! The seam between a network device and its back-end: frames with a virtio-net header in guest memory, or whole rings for
//! a back-end that serves them itself.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use flotilla_memory::GuestMemory;

use crate::block::Segment;
use crate::ring::Ring;

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
    /// UDP datagrams may be larger than the MTU, to be cut into IP fragments.
    pub ufo: bool,
    /// UDP data may be larger than the MTU, to be cut into datagrams, over IPv4 and IPv6 alike.
    pub uso: bool,
}

/// A source and sink of frames, with one or more pairs of queues.
pub trait PacketBackend: Send + Sync {
    /// What the back-end offers.
    fn offloads(&self) -> Offloads;
    /// Tells what the guest accepts, at each activation and whenever it changes its mind. Holds for every pair.
    fn set_guest_offloads(&self, offloads: Offloads) -> io::Result<()>;
    /// How many pairs of queues there are, at least 1.
    fn pairs(&self) -> u16;
    /// Only the first `pairs` carry frames from now on. Begins with one. From 1 to [`PacketBackend::pairs`].
    fn use_pairs(&self, pairs: u16) -> io::Result<()>;
    /// The queues of a pair, for one thread to use.
    fn open(&self, pair: u16) -> io::Result<Box<dyn PacketQueue>>;
    /// Throws away the frames that wait in every pair: they are not for the driver that comes next.
    fn discard(&self) -> io::Result<()>;
}

/// What a look for a frame gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receipt {
    /// No frame waits.
    Nothing,
    /// A frame of so many bytes, header included, is in the buffers offered first.
    Frame(usize),
    /// A frame came that was longer than all the buffers, which now hold its beginning.
    Cut,
}

/// How a queue is off, beside the frames that wait in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// It takes and gives frames.
    #[default]
    Ready,
    /// A part of a frame is still to be sent: flush the queue once its event is writable.
    Sending,
    /// Its other end is gone, and comes back no more.
    Gone,
}

/// Takes the news that a network is gone. Called on a thread of the device; must not block.
pub trait LinkAlarm: Send + Sync {
    /// The back-end of the device of this name has lost its other end. Told once.
    fn link_lost(&self, device: &str);
}

/// One pair of queues in use. Each frame begins with the virtio-net header.
///
/// Buffers for received frames are offered ahead, so that what is known of them is computed once. They stay offered
/// until they are retired: a frame that the device drops leaves its buffers for the next one.
pub trait PacketQueue: Send {
    /// Readable when a frame waits.
    fn event(&self) -> BorrowedFd<'_>;
    /// Adds the segments behind those offered before. Returns how many buffers of the host they are.
    fn offer(&mut self, memory: &Arc<GuestMemory>, segments: &[Segment]) -> io::Result<usize>;
    /// Takes the first buffers away, as many as `offer` said.
    fn retire(&mut self, buffers: usize);
    /// Receives one frame into the buffers offered. Whoever calls records that they were written.
    fn receive(&mut self) -> io::Result<Receipt>;
    /// Throws away the frames that wait.
    fn discard(&mut self) -> io::Result<()>;
    /// Sends one frame from the segments, with `head` in place of its first bytes: what was checked is what is sent.
    /// `WouldBlock` means it was dropped because the back-end is full.
    fn send(&mut self, memory: &GuestMemory, head: &[u8], segments: &[Segment]) -> io::Result<usize>;
    /// How the queue is off after what was done last. Taps take frames whole and never lose their other end.
    fn condition(&self) -> Condition {
        Condition::Ready
    }
    /// Goes on to send what [`Condition::Sending`] speaks of.
    fn flush(&mut self) {}
}

/// Serves whole rings without a thread of ours, as vhost-net does in the kernel. Frames come from, and go to, the
/// [`PacketBackend`] that it was made with.
pub trait RingBackend: Send + Sync {
    /// The feature bits that the rings and headers may have.
    fn features(&self) -> u64;
    /// Begins to serve a pair that stands still. After an error it stands still.
    fn start(
        &self,
        pair: u16,
        features: u64,
        memory: &Arc<GuestMemory>,
        receive: Ring<'_>,
        transmit: Ring<'_>,
    ) -> io::Result<()>;
    /// Stops to serve a pair; nothing is in flight afterwards. The positions in the available rings, receive first.
    fn stop(&self, pair: u16) -> io::Result<[u16; 2]>;
}
