// SPDX-License-Identifier: Apache-2.0
//! One connection: how far each side has come, and the credit that each gave the other (virtio 1.2 §5.10.6.3).
//!
//! ```text
//!   host asks ──▶ opening ── response ──▶ open ◀── response sent ── guest asks
//!                    │                     │ host ends (sends no more) ─▶ shutdown(send) to the guest
//!                    │ reset, time-out     │ host is gone ─▶ shutdown(both), then reset after a while
//!                    ▼                     │ guest shuts down(send) ─▶ end of the stream, once the backlog is out
//!                  gone ◀──────────────────┘ guest shuts down(both), or reset from either side
//! ```

use std::collections::VecDeque;
use std::num::Wrapping;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::EventFlags;

use super::packet::{Header, Operation, SHUTDOWN_BOTH, SHUTDOWN_RECEIVE, SHUTDOWN_SEND};
use super::socket::{self, Received, Sent};

/// Bytes kept for a host program that does not read; the credit of the guest.
pub(super) const BUFFER: u32 = 64 * 1024;

/// What waits to be told to the guest. Flags and not a queue: however much happens, it stays this small.
#[derive(Debug, Default)]
struct Pending {
    request: bool,
    response: bool,
    /// Flags of a shutdown not told yet.
    shutdown: u32,
    credit_update: bool,
    credit_request: bool,
    reset: bool,
}

/// What a packet to the guest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) operation: Operation,
    pub(super) flags: u32,
    pub(super) len: usize,
}

/// The guest broke the rules of the connection, which ends it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation;

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: OwnedFd,
    /// The host asked and the guest has not answered.
    opening: bool,
    pending: Pending,
    /// The guest's buffer, what it has passed on, and what we have sent.
    guest_buffer: u32,
    guest_forwarded: Wrapping<u32>,
    sent: Wrapping<u32>,
    /// What we received, have passed on, and have told the guest of that.
    received: Wrapping<u32>,
    forwarded: Wrapping<u32>,
    told: Wrapping<u32>,
    backlog: VecDeque<u8>,
    /// The stream may hold bytes for the guest. No event is wanted until it turns out that it does not.
    readable: bool,
    /// The host program sends no more.
    host_ended: bool,
    /// The host program neither sends nor takes any more.
    host_gone: bool,
    /// Flags of the guest's shutdowns.
    guest_ended: u32,
    /// Whether it waits for its turn; kept by the muxer.
    pub(super) scheduled: bool,
    /// What it is in the epoll set with, if it is; kept by the muxer.
    pub(super) listening: Option<EventFlags>,
}

impl Connection {
    fn new(stream: OwnedFd, pending: Pending) -> Self {
        Self {
            stream,
            opening: false,
            pending,
            guest_buffer: 0,
            guest_forwarded: Wrapping(0),
            sent: Wrapping(0),
            received: Wrapping(0),
            forwarded: Wrapping(0),
            told: Wrapping(0),
            backlog: VecDeque::new(),
            readable: false,
            host_ended: false,
            host_gone: false,
            guest_ended: 0,
            scheduled: false,
            listening: None,
        }
    }

    /// One that the host asks for.
    pub(super) fn requested(stream: OwnedFd) -> Self {
        let pending = Pending { request: true, ..Pending::default() };
        Self { opening: true, ..Self::new(stream, pending) }
    }

    /// One that the guest asked for by `request`.
    pub(super) fn answered(stream: OwnedFd, request: &Header) -> Self {
        let mut connection = Self::new(stream, Pending { response: true, ..Pending::default() });
        connection.take_credit(request);
        connection
    }

    pub(super) fn stream(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    pub(super) fn is_opening(&self) -> bool {
        self.opening
    }

    /// What the header of any packet says of the guest's buffer.
    pub(super) fn take_credit(&mut self, header: &Header) {
        self.guest_buffer = header.buffer;
        self.guest_forwarded = Wrapping(header.forwarded);
    }

    /// The guest answered.
    pub(super) fn open(&mut self) {
        self.opening = false;
    }

    /// The guest wants to know what it may send.
    pub(super) fn tell_credit(&mut self) {
        self.pending.credit_update = true;
    }

    /// End it with a reset at its next turn.
    pub(super) fn fail(&mut self) {
        self.pending = Pending { reset: true, ..Pending::default() };
    }

    /// Bytes that the guest still takes. None for one that claims to have passed on what it never got.
    fn credit(&self) -> u32 {
        self.guest_buffer.saturating_sub((self.sent - self.guest_forwarded).0)
    }

    /// Bytes from the guest.
    pub(super) fn take_data(&mut self, data: &[u8]) -> Result<(), Violation> {
        let kept = u32::try_from(self.backlog.len() + data.len()).unwrap_or(u32::MAX);
        if kept > BUFFER || self.guest_ended & SHUTDOWN_SEND != 0 {
            return Err(Violation);
        }
        self.received += u32::try_from(data.len()).unwrap_or(u32::MAX);
        let rest = if self.backlog.is_empty() {
            let done = self.forward(data);
            data.get(done..).unwrap_or_default()
        } else {
            data
        };
        self.backlog.extend(rest);
        Ok(())
    }

    /// The stream takes bytes again.
    pub(super) fn flush(&mut self) {
        while !self.backlog.is_empty() {
            let (first, _) = self.backlog.as_slices();
            let first = first.to_vec();
            let done = self.forward(&first);
            if self.host_gone {
                return;
            }
            self.backlog.drain(..done);
            if done < first.len() {
                return;
            }
        }
        // The memory of a burst goes with it.
        self.backlog = VecDeque::new();
        if self.guest_ended & SHUTDOWN_SEND != 0 {
            socket::end_sending(self.stream.as_fd());
        }
    }

    /// Passes bytes on to the host program, or drops them when it is gone; how many.
    fn forward(&mut self, data: &[u8]) -> usize {
        let done = if self.host_gone {
            data.len()
        } else {
            match socket::send(self.stream.as_fd(), data) {
                Sent::Bytes(len) => len,
                Sent::Gone => {
                    self.lose_host();
                    data.len()
                }
            }
        };
        self.forwarded += u32::try_from(done).unwrap_or(u32::MAX);
        // What the guest thinks it may still send.
        if BUFFER.saturating_sub((self.received - self.told).0) < BUFFER / 2 && self.forwarded != self.told {
            self.pending.credit_update = true;
        }
        done
    }

    /// The guest will not receive, not send, or neither.
    pub(super) fn end_guest(&mut self, flags: u32) {
        self.guest_ended |= flags & SHUTDOWN_BOTH;
        if self.guest_ended & SHUTDOWN_RECEIVE != 0 {
            socket::end_receiving(self.stream.as_fd());
            self.readable = false;
        }
        if self.guest_ended & SHUTDOWN_SEND != 0 && self.backlog.is_empty() {
            socket::end_sending(self.stream.as_fd());
        }
    }

    /// Whether the guest is through with it.
    pub(super) fn guest_is_done(&self) -> bool {
        self.guest_ended == SHUTDOWN_BOTH
    }

    /// What happened to the stream.
    pub(super) fn on_events(&mut self, events: EventFlags) {
        if events.contains(EventFlags::OUT) {
            self.flush();
        }
        let gone = events.intersects(EventFlags::HUP | EventFlags::ERR);
        if events.contains(EventFlags::IN) || (gone && self.takes_input()) {
            // Bytes that came before the end are still read.
            self.readable = true;
        } else if gone {
            self.lose_host();
        }
    }

    fn takes_input(&self) -> bool {
        !self.opening && !self.host_ended && self.guest_ended & SHUTDOWN_RECEIVE == 0
    }

    fn lose_host(&mut self) {
        if !self.host_gone {
            self.host_gone = true;
            self.host_ended = true;
            self.readable = false;
            self.forwarded += u32::try_from(self.backlog.len()).unwrap_or(u32::MAX);
            self.backlog = VecDeque::new();
            if self.opening {
                self.fail();
            } else {
                self.pending.shutdown = SHUTDOWN_BOTH;
            }
        }
    }

    /// The events to wait for, `None` for not even a hang-up. Nothing that is dealt with later, or that would come again
    /// and again.
    pub(super) fn interest(&self) -> Option<EventFlags> {
        let out = if self.backlog.is_empty() { EventFlags::empty() } else { EventFlags::OUT };
        if self.host_gone {
            None
        } else if self.readable {
            // A hang-up is not to be reported while its bytes wait for the guest.
            (!out.is_empty()).then_some(out)
        } else if self.takes_input() {
            Some(out | EventFlags::IN)
        } else {
            Some(out)
        }
    }

    /// Whether there is something to tell the guest now.
    pub(super) fn wants_turn(&self) -> bool {
        let Pending { request, response, shutdown, credit_update, credit_request, reset } = self.pending;
        let control = request || response || shutdown != 0 || credit_update || credit_request || reset;
        control || (self.readable && !self.opening && self.credit() > 0)
    }

    /// The next thing to tell the guest. Bytes go to `data`, which has room for as many as fit a packet.
    pub(super) fn next_content(&mut self, data: &mut [u8]) -> Option<Content> {
        let plain = |operation| Some(Content { operation, flags: 0, len: 0 });
        if self.pending.reset {
            return plain(Operation::Reset);
        }
        if std::mem::take(&mut self.pending.request) {
            return plain(Operation::Request);
        }
        if std::mem::take(&mut self.pending.response) {
            return plain(Operation::Response);
        }
        if let Some(len) = self.next_data(data) {
            return Some(Content { operation: Operation::Data, flags: 0, len });
        }
        if self.pending.shutdown != 0 {
            let flags = std::mem::take(&mut self.pending.shutdown);
            return Some(Content { operation: Operation::Shutdown, flags, len: 0 });
        }
        if std::mem::take(&mut self.pending.credit_request) {
            return plain(Operation::CreditRequest);
        }
        // Bytes wait, and the guest's buffer has no room for any: something has to go there, or its turn never ends.
        let no_room = data.is_empty() && self.wants_turn();
        if std::mem::take(&mut self.pending.credit_update) || no_room {
            return plain(Operation::CreditUpdate);
        }
        None
    }

    fn next_data(&mut self, data: &mut [u8]) -> Option<usize> {
        if !self.readable || self.opening {
            return None;
        }
        let credit = usize::try_from(self.credit()).unwrap_or(usize::MAX);
        let room = data.len().min(credit);
        let place = data.get_mut(..room).filter(|place| !place.is_empty())?;
        match socket::receive(self.stream.as_fd(), place) {
            Received::Bytes(len) => {
                // Less than asked for: it was all there was, and an event tells of more.
                self.readable = len == room;
                self.sent += u32::try_from(len).unwrap_or(u32::MAX);
                self.pending.credit_request = self.credit() == 0;
                Some(len)
            }
            Received::Nothing => {
                self.readable = false;
                None
            }
            Received::End => {
                self.readable = false;
                self.host_ended = true;
                self.pending.shutdown |= SHUTDOWN_SEND;
                None
            }
        }
    }

    /// Puts the state of our buffer into a header that is about to go to the guest.
    pub(super) fn stamp(&mut self, header: &mut Header) {
        self.told = self.forwarded;
        self.pending.credit_update = false;
        header.buffer = BUFFER;
        header.forwarded = self.forwarded.0;
    }

    /// The stream with what is still to be passed on, once the guest has nothing to do with it any more.
    pub(super) fn leave(self) -> Option<(OwnedFd, VecDeque<u8>)> {
        let done = self.backlog.is_empty() || self.host_gone;
        (!done).then_some((self.stream, self.backlog))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn open_connection(credit: u32) -> (UnixStream, Connection) {
        let (far, near) = UnixStream::pair().unwrap();
        let mut connection = Connection::requested(near.into());
        assert_eq!(connection.next_content(&mut []).unwrap().operation, Operation::Request);
        connection.open();
        connection.guest_buffer = credit;
        (far, connection)
    }

    /// Whatever is reported would be reported again at once, so each of these would keep the thread busy.
    #[test]
    fn waits_for_nothing_that_it_cannot_deal_with() {
        let (mut far, mut connection) = open_connection(0);
        assert_eq!(connection.interest(), Some(EventFlags::IN));
        far.write_all(b"x").unwrap();
        connection.on_events(EventFlags::IN);
        assert_eq!(connection.interest(), None, "bytes that the guest has no room for");
        assert!(!connection.wants_turn());
        drop(far);
        connection.on_events(EventFlags::IN | EventFlags::HUP);
        assert_eq!(connection.interest(), None, "nor for the hang-up behind them");

        let (far, mut connection) = open_connection(100);
        while connection.backlog.is_empty() {
            connection.take_data(&[0; 4096]).unwrap();
        }
        assert_eq!(connection.interest(), Some(EventFlags::IN | EventFlags::OUT));
        drop(far);
        connection.on_events(EventFlags::OUT | EventFlags::HUP);
        assert_eq!(connection.interest(), None, "a program that is gone takes no bytes");
        assert!(connection.backlog.is_empty() && connection.wants_turn());
    }

    #[test]
    fn a_guest_that_does_not_receive_is_read_nothing_for() {
        let (mut far, mut connection) = open_connection(100);
        connection.end_guest(SHUTDOWN_RECEIVE);
        assert!(far.write_all(b"x").is_err(), "the program is told");
        assert_eq!(connection.interest(), Some(EventFlags::empty()), "only its going away");
        assert_eq!(connection.next_content(&mut [0; 10]), None);
    }

    #[test]
    fn credit_wraps_as_the_counters_do() {
        let (mut far, mut connection) = open_connection(10);
        connection.sent = Wrapping(u32::MAX - 2);
        connection.guest_forwarded = connection.sent;
        far.write_all(&[1; 20]).unwrap();
        connection.on_events(EventFlags::IN);
        assert_eq!(connection.next_content(&mut [0; 64]).unwrap().len, 10);
        assert_eq!((connection.sent, connection.credit()), (Wrapping(7), 0));
        connection.guest_forwarded = Wrapping(1);
        assert_eq!(connection.credit(), 4);
    }
}
