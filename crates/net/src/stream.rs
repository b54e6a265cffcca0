// SPDX-License-Identifier: Apache-2.0
//! An interface whose network is a process at the other end of a UNIX stream socket.
//!
//! ```text
//!   guest memory ◀── copy ── Deframer ◀── read ──┐
//!                                                socket ══ passt
//!   guest memory ── copy ──▶ outgoing ─── write ─┘
//! ```
//!
//! There are no offloads: each frame is whole and its checksums are right. At most one frame waits to be sent; while it does,
//! others are dropped as a full network would. A peer that goes away, or says what no frame begins with, is gone for good.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::block::Segment;
use flotilla_device_model::net::{
    Condition, FRAME_HEADER_LEN, Offloads, PacketBackend, PacketQueue, Receipt,
};
use flotilla_memory::{Address, Bytes, GuestAddress, GuestMemory};

use crate::framing::{Deframer, LENGTH_LEN};
use crate::guard::leads_to_loopback;
use crate::{StreamError, sys};

/// What may be sent: an Ethernet header, and no more than passt takes (`ETH_MAX_MTU`).
const SENDABLE: std::ops::RangeInclusive<usize> = 14..=65_535;
/// Most reads in which what waits is thrown away, so that a flood cannot keep whoever discards.
const MAX_DISCARDED: usize = 2048;

/// A network at the other end of a stream socket.
pub struct StreamNet {
    socket: Arc<UnixStream>,
    /// Outlives the queue: a piece of a frame that was read, or is still to be sent, belongs to the stream.
    state: Arc<Mutex<State>>,
}

struct State {
    incoming: Deframer,
    /// The frame that is being sent with its length, and how much of it is out.
    outgoing: Vec<u8>,
    sent: usize,
    gone: bool,
}

impl StreamNet {
    /// Takes over a connected UNIX stream socket.
    pub fn from_descriptor(descriptor: OwnedFd) -> Result<Self, StreamError> {
        if !sys::is_local_stream(descriptor.as_fd()).unwrap_or(false) {
            return Err(StreamError::NotStream);
        }
        let socket = UnixStream::from(descriptor);
        sys::set_nonblocking(socket.as_fd()).map_err(StreamError::Nonblocking)?;
        let state = State { incoming: Deframer::new(), outgoing: Vec::new(), sent: 0, gone: false };
        Ok(Self { socket: Arc::new(socket), state: Arc::new(Mutex::new(state)) })
    }
}

impl State {
    /// Reads once: whether there was something.
    fn fill(&mut self, mut socket: &UnixStream) -> bool {
        match socket.read(self.incoming.room()) {
            Ok(0) => self.lose("it closed the connection"),
            Ok(len) => {
                self.incoming.filled(len);
                return true;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.lose(&error),
        }
        false
    }

    /// The next frame, if one is there or can be read.
    fn next(&mut self, socket: &UnixStream, take: &mut dyn FnMut(&[u8])) -> bool {
        while !self.gone {
            let wrong = match self.incoming.next() {
                Ok(Some(frame)) => {
                    take(frame);
                    return true;
                }
                Ok(None) => None,
                Err(error) => Some(error),
            };
            match wrong {
                Some(error) => self.lose(error),
                None if self.fill(socket) => {}
                None => return false,
            }
        }
        false
    }

    /// Sends what is left of the frame that was begun; whether it is out.
    fn flush(&mut self, mut socket: &UnixStream) -> io::Result<bool> {
        while let Some(rest) = self.outgoing.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match socket.write(rest) {
                Ok(len) => self.sent = self.sent.saturating_add(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => {
                    self.lose(&error);
                    return Err(error);
                }
            }
        }
        Ok(true)
    }

    fn lose(&mut self, why: impl std::fmt::Display) {
        self.gone = true;
        (self.outgoing, self.sent) = (Vec::new(), 0);
        tracing::warn!(%why, "the network of an interface is gone");
    }

    fn is_sending(&self) -> bool {
        self.sent < self.outgoing.len()
    }

    fn discard(&mut self, socket: &UnixStream) {
        for _ in 0..MAX_DISCARDED {
            if !self.next(socket, &mut |_| {}) {
                return;
            }
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PacketBackend for StreamNet {
    fn offloads(&self) -> Offloads {
        Offloads::default()
    }

    fn set_guest_offloads(&self, _offloads: Offloads) -> io::Result<()> {
        // None is offered, so none can be agreed on.
        Ok(())
    }

    fn pairs(&self) -> u16 {
        1
    }

    fn use_pairs(&self, pairs: u16) -> io::Result<()> {
        if pairs == 1 { Ok(()) } else { Err(io::ErrorKind::InvalidInput.into()) }
    }

    fn open(&self, pair: u16) -> io::Result<Box<dyn PacketQueue>> {
        if pair != 0 {
            return Err(io::ErrorKind::NotFound.into());
        }
        let (socket, state) = (Arc::clone(&self.socket), Arc::clone(&self.state));
        Ok(Box::new(StreamQueue { socket, state, offered: Offered::default() }))
    }

    fn discard(&self) -> io::Result<()> {
        lock(&self.state).discard(&self.socket);
        Ok(())
    }
}

/// Buffers of the driver, added at the end and retired at the front.
#[derive(Default)]
struct Offered {
    memory: Option<Arc<GuestMemory>>,
    segments: VecDeque<Segment>,
    /// Bytes in them.
    capacity: usize,
}

impl Offered {
    fn push(&mut self, memory: &Arc<GuestMemory>, segments: &[Segment]) -> usize {
        if !self.memory.as_ref().is_some_and(|held| Arc::ptr_eq(held, memory)) {
            *self = Self { memory: Some(Arc::clone(memory)), ..Self::default() };
        }
        self.segments.extend(segments);
        self.capacity += segments.iter().map(|segment| len_of(*segment)).sum::<usize>();
        segments.len()
    }

    fn retire(&mut self, count: usize) {
        for segment in self.segments.drain(..count.min(self.segments.len())) {
            self.capacity -= len_of(segment);
        }
    }

    /// Puts a frame behind an empty header into the buffers; how long both are.
    fn put(&self, frame: &[u8]) -> io::Result<Receipt> {
        let len = FRAME_HEADER_LEN + frame.len();
        let Some(memory) = self.memory.as_ref().filter(|_| len <= self.capacity) else {
            return Ok(Receipt::Cut);
        };
        let (mut header, mut rest): (&[u8], _) = (&[0; FRAME_HEADER_LEN], frame);
        for segment in &self.segments {
            let mut place = *segment;
            for part in [&mut header, &mut rest] {
                let (now, later) = part.split_at(len_of(place).min(part.len()));
                memory.write_slice(now, place.address).map_err(io::Error::other)?;
                *part = later;
                place = behind(place, now.len())?;
            }
            if rest.is_empty() {
                break;
            }
        }
        Ok(Receipt::Frame(len))
    }
}

fn len_of(segment: Segment) -> usize {
    usize::try_from(segment.len).unwrap_or(usize::MAX)
}

/// What is left of a segment behind its first bytes, of which it has as many.
fn behind(segment: Segment, bytes: usize) -> io::Result<Segment> {
    let skipped = u32::try_from(bytes).unwrap_or(u32::MAX);
    let address = segment.address.checked_add(skipped.into()).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(Segment { address: GuestAddress(address.0), len: segment.len.saturating_sub(skipped) })
}

/// The one pair of queues in use.
struct StreamQueue {
    socket: Arc<UnixStream>,
    state: Arc<Mutex<State>>,
    offered: Offered,
}

impl PacketQueue for StreamQueue {
    fn event(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn offer(&mut self, memory: &Arc<GuestMemory>, segments: &[Segment]) -> io::Result<usize> {
        Ok(self.offered.push(memory, segments))
    }

    fn retire(&mut self, buffers: usize) {
        self.offered.retire(buffers);
    }

    fn receive(&mut self) -> io::Result<Receipt> {
        let mut receipt = Ok(Receipt::Nothing);
        lock(&self.state).next(&self.socket, &mut |frame| receipt = self.offered.put(frame));
        receipt
    }

    fn discard(&mut self) -> io::Result<()> {
        lock(&self.state).discard(&self.socket);
        Ok(())
    }

    fn send(&mut self, memory: &GuestMemory, head: &[u8], segments: &[Segment]) -> io::Result<usize> {
        let mut state = lock(&self.state);
        if state.gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if !state.flush(&self.socket)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let whole: usize = segments.iter().map(|segment| len_of(*segment)).sum();
        let len = whole.saturating_sub(FRAME_HEADER_LEN);
        if !SENDABLE.contains(&len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // Copied before it is looked at, so that the guest cannot change what was found good.
        state.sent = 0;
        let done = fill_outgoing(&mut state.outgoing, len, memory, head, segments);
        let frame = state.outgoing.get(LENGTH_LEN..).unwrap_or_default();
        let refused = done.is_err() || leads_to_loopback(frame);
        if refused {
            state.outgoing.clear();
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let out = state.flush(&self.socket)?;
        if !out && state.sent == 0 {
            // Nothing of it is out: it can be dropped instead of waiting.
            state.outgoing.clear();
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(whole)
    }

    fn condition(&self) -> Condition {
        let state = lock(&self.state);
        match state.gone {
            true => Condition::Gone,
            false if state.is_sending() => Condition::Sending,
            false => Condition::Ready,
        }
    }

    fn flush(&mut self) {
        // What fails is a loss, which the condition tells.
        let _ = lock(&self.state).flush(&self.socket);
    }
}

/// The length of a frame and the frame itself: its segments behind the virtio-net header, with `head` in place of their first
/// bytes.
fn fill_outgoing(
    out: &mut Vec<u8>,
    len: usize,
    memory: &GuestMemory,
    head: &[u8],
    segments: &[Segment],
) -> io::Result<()> {
    out.clear();
    out.extend(u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(head.get(FRAME_HEADER_LEN..).unwrap_or_default());
    let mut skip = FRAME_HEADER_LEN.max(head.len());
    for segment in segments {
        let skipped = skip.min(len_of(*segment));
        skip -= skipped;
        let rest = behind(*segment, skipped)?;
        let from = out.len();
        out.resize(from + len_of(rest), 0);
        let place = out.get_mut(from..).unwrap_or_default();
        memory.read_slice(place, rest.address).map_err(io::Error::other)?;
    }
    Ok(())
}
