// SPDX-License-Identifier: Apache-2.0
//! All connections of a guest, and the host programs that have none yet: which event and which packet goes where, and
//! whose turn it is.
//!
//! Turns are taken in a circle, one packet each, so that a connection with much to say keeps none from saying a little.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use flotilla_device_model::vsock::VsockHost;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use super::connection::Connection;
use super::hello::{Line, Progress, Wish, answer};
use super::metrics::VsockMetrics;
use super::packet::{HOST_CID, Header, Operation, SHUTDOWN_BOTH, TYPE_STREAM};
use super::socket::{self, Sent};
use super::timers::Timers;

/// The first of the ports that connections from the host come from; there are as many as this.
pub(super) const FIRST_PORT: u32 = 1 << 30;
/// How long the guest may take to answer a request. One that has much to do, or few of the host's CPUs, takes seconds.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long the guest may take to reset a connection that the host has given up.
const RESET_PATIENCE: Duration = Duration::from_secs(2);
/// How long a host program may take to say its line: on a busy host more than the guest's kernel takes to answer.
const LINE_PATIENCE: Duration = Duration::from_secs(5);
/// Connections accepted, and events looked at, before the queues have their turn.
const BATCH: usize = 64;
/// Resets kept for connections that do not exist. A guest that provokes more and takes none loses the rest.
const MAX_RESETS: usize = 256;
/// In the upper half of a token: a host program without a connection. No connection has this port.
const NO_PORT: u32 = u32::MAX;
/// The token of the listening socket.
const LISTENER: u64 = u64::MAX;

/// The ports of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    host: u32,
    guest: u32,
}

impl Key {
    fn token(self) -> u64 {
        u64::from(self.host) << 32 | u64::from(self.guest)
    }

    fn of(token: u64) -> Self {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(NO_PORT);
        Self { host: half(token >> 32), guest: half(token) }
    }
}

/// A host program without a connection.
enum Visitor {
    /// Saying what it wants.
    Speaking(OwnedFd, Line),
    /// Waiting for the guest at this port.
    Waiting(OwnedFd, u32),
    /// Left by the guest, with bytes that it has not read yet.
    Leaving(OwnedFd, VecDeque<u8>),
}

impl Visitor {
    fn stream(&self) -> BorrowedFd<'_> {
        match self {
            Self::Speaking(stream, _) | Self::Waiting(stream, _) | Self::Leaving(stream, _) => stream.as_fd(),
        }
    }
}

/// All connections of a guest.
pub(super) struct Muxer {
    cid: u64,
    limit: usize,
    host: Arc<dyn VsockHost>,
    epoll: OwnedFd,
    connections: HashMap<Key, Connection>,
    visitors: HashMap<u32, Visitor>,
    /// Who waits at each port, the first one first.
    waiting: HashMap<u32, VecDeque<u32>>,
    next_visitor: u32,
    next_port: Arc<AtomicU32>,
    turns: VecDeque<Key>,
    resets: VecDeque<Header>,
    timers: Timers,
    metrics: Arc<VsockMetrics>,
}

impl Muxer {
    /// A muxer without connections that listens.
    pub(super) fn new(
        cid: u64,
        limit: usize,
        host: Arc<dyn VsockHost>,
        next_port: Arc<AtomicU32>,
        metrics: Arc<VsockMetrics>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, host.listener(), EventData::new_u64(LISTENER), EventFlags::IN)?;
        Ok(Self {
            cid,
            limit,
            host,
            epoll,
            connections: HashMap::new(),
            visitors: HashMap::new(),
            waiting: HashMap::new(),
            next_visitor: 0,
            next_port,
            turns: VecDeque::new(),
            resets: VecDeque::new(),
            timers: Timers::default(),
            metrics,
        })
    }

    /// Readable while an event of any socket waits.
    pub(super) fn events(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// The guest and its host programs could do nothing for so long.
    pub(super) fn delay(&mut self, by: Duration) {
        self.timers.delay(by);
    }

    /// Whether the guest is to be told something.
    pub(super) fn has_turn(&self) -> bool {
        !self.turns.is_empty() || !self.resets.is_empty()
    }

    /// Deals with the events of sockets, a batch at a time.
    pub(super) fn poll(&mut self) {
        let mut room = [const { MaybeUninit::<Event>::uninit() }; BATCH];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut room, Some(&at_once)) else { return };
        for event in events {
            let (flags, token) = (event.flags, event.data.u64());
            match Key::of(token) {
                _ if token == LISTENER => self.welcome(),
                Key { host: NO_PORT, guest: id } => self.on_visitor(id),
                key => self.on_stream(key, flags),
            }
        }
    }

    /// Ends what has taken too long.
    pub(super) fn tick(&mut self, now: Instant) {
        while let Some(token) = self.timers.take_due(now) {
            let key = Key::of(token);
            if key.host == NO_PORT {
                self.metrics.refused.increment();
                self.dismiss(key.guest);
            } else if let Some(connection) = self.connections.get_mut(&key) {
                if connection.is_opening() {
                    self.metrics.refused.increment();
                }
                connection.fail();
                self.refresh(key);
            }
        }
    }

    /// A packet of the guest.
    pub(super) fn on_packet(&mut self, header: &Header, payload: &[u8]) {
        self.metrics.tx_packets.increment();
        if header.source_cid != self.cid {
            // Nobody to answer: the guest speaks for another one.
            self.metrics.tx_errors.increment();
            return;
        }
        let key = Key { host: header.destination_port, guest: header.source_port };
        let known = header.destination_cid == HOST_CID && header.kind == TYPE_STREAM;
        if !known || key.host == NO_PORT {
            self.metrics.tx_errors.increment();
            self.refuse(header);
        } else if let Some(connection) = self.connections.get_mut(&key) {
            connection.take_credit(header);
            self.on_own_packet(key, header, payload);
        } else if header.operation == Operation::Request {
            self.on_request(key, header);
        } else {
            self.refuse(header);
        }
    }

    /// A packet of a connection that exists.
    fn on_own_packet(&mut self, key: Key, header: &Header, payload: &[u8]) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        match (header.operation, connection.is_opening()) {
            (Operation::Reset, opening) => {
                if opening {
                    self.metrics.refused.increment();
                }
                return self.remove(key);
            }
            (Operation::Response, true) => {
                connection.open();
                self.timers.cancel(key.token());
                self.metrics.connections.increment();
                if let Sent::Gone = socket::send(connection.stream(), answer(key.host).as_bytes()) {
                    connection.fail();
                }
            }
            (Operation::Data, false) => {
                if connection.take_data(payload).is_ok() {
                    self.metrics.tx_bytes.add(u64::try_from(payload.len()).unwrap_or(u64::MAX));
                } else {
                    self.metrics.tx_errors.increment();
                    connection.fail();
                }
            }
            (Operation::Shutdown, false) => {
                connection.end_guest(header.flags);
                if connection.guest_is_done() {
                    self.refuse(header);
                    return self.remove(key);
                }
            }
            (Operation::CreditUpdate, false) => {}
            (Operation::CreditRequest, false) => connection.tell_credit(),
            (Operation::Response | Operation::Request | Operation::Unsupported(_), false) | (_, true) => {
                self.metrics.tx_errors.increment();
                connection.fail();
            }
        }
        self.refresh(key);
    }

    /// The guest asks for a connection.
    fn on_request(&mut self, key: Key, header: &Header) {
        let stream = match self.take_waiting(key.host) {
            Some(stream) => match socket::send(stream.as_fd(), answer(key.guest).as_bytes()) {
                Sent::Bytes(_) => Some(stream),
                Sent::Gone => None,
            },
            None if self.is_full() => None,
            None => self.host.connect(key.host).ok(),
        };
        let Some(stream) = stream else {
            self.metrics.refused.increment();
            return self.refuse(header);
        };
        self.metrics.connections.increment();
        self.connections.insert(key, Connection::answered(stream, header));
        self.refresh(key);
    }

    /// Answers a packet that belongs to nothing, unless it is a reset itself.
    fn refuse(&mut self, header: &Header) {
        if header.operation != Operation::Reset && self.resets.len() < MAX_RESETS {
            self.resets.push_back(header.reset());
        }
    }

    /// The next packet for the guest; its bytes go to `data`, which has room for as many as fit.
    pub(super) fn next_packet(&mut self, data: &mut [u8]) -> Option<Header> {
        if let Some(header) = self.resets.pop_front() {
            self.metrics.resets.increment();
            return Some(header);
        }
        while let Some(key) = self.turns.pop_front() {
            let Some(connection) = self.connections.get_mut(&key) else { continue };
            connection.scheduled = false;
            let Some(content) = connection.next_content(data) else {
                self.refresh(key);
                continue;
            };
            let mut header = Header {
                source_cid: HOST_CID,
                destination_cid: self.cid,
                source_port: key.host,
                destination_port: key.guest,
                len: u32::try_from(content.len).unwrap_or_default(),
                kind: TYPE_STREAM,
                operation: content.operation,
                flags: content.flags,
                buffer: 0,
                forwarded: 0,
            };
            connection.stamp(&mut header);
            if content.operation == Operation::Reset {
                self.metrics.resets.increment();
                self.remove(key);
                return Some(header);
            }
            if content.flags == SHUTDOWN_BOTH {
                // A guest answers with a reset. One that does not is not waited for.
                self.timers.set(key.token(), Instant::now() + RESET_PATIENCE);
            }
            self.refresh(key);
            return Some(header);
        }
        None
    }

    /// Follows a change of a connection: waits for what it wants, and gives it a turn if it wants one.
    fn refresh(&mut self, key: Key) {
        let Some(connection) = self.connections.get_mut(&key) else { return };
        let wanted = connection.interest();
        if wanted != connection.listening {
            let (stream, data) = (connection.stream(), EventData::new_u64(key.token()));
            let changed = match (connection.listening, wanted) {
                (None, Some(events)) => epoll::add(&self.epoll, stream, data, events),
                (Some(_), Some(events)) => epoll::modify(&self.epoll, stream, data, events),
                (_, None) => epoll::delete(&self.epoll, stream),
            };
            if let Err(error) = changed {
                tracing::debug!(%error, "cannot wait for a socket; its connection ends");
                connection.fail();
            }
            connection.listening = wanted;
        }
        if !connection.scheduled && connection.wants_turn() {
            connection.scheduled = true;
            self.turns.push_back(key);
        }
    }

    /// Forgets a connection. Its host program still gets what the guest had sent.
    fn remove(&mut self, key: Key) {
        self.timers.cancel(key.token());
        let Some(connection) = self.connections.remove(&key) else { return };
        if connection.scheduled {
            // A guest that comes and goes, and takes no packets, would leave a turn behind each time.
            self.turns.retain(|other| *other != key);
        }
        if connection.listening.is_some() {
            self.stop_waiting_for(connection.stream());
        }
        if let Some((stream, backlog)) = connection.leave() {
            self.visit(Visitor::Leaving(stream, backlog), EventFlags::OUT);
        }
    }

    fn on_stream(&mut self, key: Key, events: EventFlags) {
        if let Some(connection) = self.connections.get_mut(&key) {
            connection.on_events(events);
            self.refresh(key);
        }
    }

    fn is_full(&self) -> bool {
        self.connections.len() + self.visitors.len() >= self.limit
    }

    /// Lets host programs in.
    fn welcome(&mut self) {
        for _ in 0..BATCH {
            let Some(stream) = socket::accept(self.host.listener()) else { return };
            if self.is_full() {
                self.metrics.refused.increment();
                continue;
            }
            if let Some(id) = self.visit(Visitor::Speaking(stream, Line::default()), EventFlags::IN) {
                self.timers.set(visitor_token(id), Instant::now() + LINE_PATIENCE);
                self.on_visitor(id);
            }
        }
    }

    fn visit(&mut self, visitor: Visitor, events: EventFlags) -> Option<u32> {
        // More than the limit are never there, so a free one is found soon.
        while self.visitors.contains_key(&self.next_visitor) || self.next_visitor == NO_PORT {
            self.next_visitor = self.next_visitor.wrapping_add(1);
        }
        let id = self.next_visitor;
        self.next_visitor = id.wrapping_add(1);
        epoll::add(&self.epoll, visitor.stream(), EventData::new_u64(visitor_token(id)), events).ok()?;
        self.visitors.insert(id, visitor);
        Some(id)
    }

    fn on_visitor(&mut self, id: u32) {
        let wish = match self.visitors.get_mut(&id) {
            None => return,
            Some(Visitor::Speaking(stream, line)) => match line.read(stream.as_fd()) {
                Progress::Waiting => return,
                Progress::Wish(wish) => Some(wish),
                Progress::Nonsense => None,
            },
            Some(Visitor::Leaving(stream, backlog)) => {
                if pass_on(stream.as_fd(), backlog) {
                    return;
                }
                None
            }
            // Only its going away is waited for.
            Some(Visitor::Waiting(..)) => None,
        };
        match wish {
            None => self.dismiss(id),
            Some(Wish::Connect(port)) => self.connect(id, port),
            Some(Wish::Accept(port)) => self.wait_for_guest(id, port),
        }
    }

    fn connect(&mut self, id: u32, port: u32) {
        let Some(stream) = self.take_visitor(id) else { return };
        let key = Key { host: self.free_port(port), guest: port };
        self.connections.insert(key, Connection::requested(stream));
        self.timers.set(key.token(), Instant::now() + ANSWER_PATIENCE);
        self.refresh(key);
    }

    /// A port of ours with which the guest's `guest` has no connection.
    fn free_port(&self, guest: u32) -> u32 {
        loop {
            let next = |port: u32| Some(FIRST_PORT + (port + 1) % FIRST_PORT);
            let port = self.next_port.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
            let port = port.unwrap_or(FIRST_PORT);
            // There are many times as many ports as connections.
            if !self.connections.contains_key(&Key { host: port, guest }) {
                return port;
            }
        }
    }

    fn wait_for_guest(&mut self, id: u32, port: u32) {
        self.timers.cancel(visitor_token(id));
        let Some(Visitor::Speaking(stream, _)) = self.visitors.remove(&id) else { return };
        let data = EventData::new_u64(visitor_token(id));
        if epoll::modify(&self.epoll, &stream, data, EventFlags::RDHUP).is_ok() {
            self.visitors.insert(id, Visitor::Waiting(stream, port));
            self.waiting.entry(port).or_default().push_back(id);
        }
    }

    /// Who has waited longest at a port.
    fn take_waiting(&mut self, port: u32) -> Option<OwnedFd> {
        let id = *self.waiting.get(&port)?.front()?;
        self.take_visitor(id)
    }

    fn dismiss(&mut self, id: u32) {
        drop(self.take_visitor(id));
    }

    fn take_visitor(&mut self, id: u32) -> Option<OwnedFd> {
        self.timers.cancel(visitor_token(id));
        let visitor = self.visitors.remove(&id)?;
        self.stop_waiting_for(visitor.stream());
        match visitor {
            Visitor::Speaking(stream, _) | Visitor::Leaving(stream, _) => Some(stream),
            Visitor::Waiting(stream, port) => {
                if let Some(line) = self.waiting.get_mut(&port) {
                    line.retain(|other| *other != id);
                    if line.is_empty() {
                        self.waiting.remove(&port);
                    }
                }
                Some(stream)
            }
        }
    }

    fn stop_waiting_for(&self, stream: BorrowedFd<'_>) {
        // It is in the set, so this does not fail; and a stream that is closed leaves the set by itself.
        let _ = epoll::delete(&self.epoll, stream);
    }
}

fn visitor_token(id: u32) -> u64 {
    Key { host: NO_PORT, guest: id }.token()
}

/// Passes on what the guest left behind; whether some of it is still here and wanted.
fn pass_on(stream: BorrowedFd<'_>, backlog: &mut VecDeque<u8>) -> bool {
    loop {
        let (first, _) = backlog.as_slices();
        if first.is_empty() {
            return false;
        }
        match socket::send(stream, first) {
            Sent::Gone => return false,
            Sent::Bytes(0) => return true,
            Sent::Bytes(len) => drop(backlog.drain(..len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc;

    use flotilla_testing::sockets::FakeSocketHost;

    use super::*;

    const CID: u64 = 52;
    const SERVED: u32 = 1024;

    fn muxer() -> (Arc<FakeSocketHost>, Muxer) {
        let host = Arc::new(FakeSocketHost::new(&[SERVED]));
        let next_port = Arc::new(AtomicU32::new(FIRST_PORT));
        let muxer = Muxer::new(CID, 16, host.clone(), next_port, Arc::default()).unwrap();
        (host, muxer)
    }

    fn packet(operation: Operation) -> Header {
        Header {
            source_cid: CID,
            destination_cid: HOST_CID,
            source_port: 7,
            destination_port: SERVED,
            len: 0,
            kind: TYPE_STREAM,
            operation,
            flags: 0,
            buffer: 4096,
            forwarded: 0,
        }
    }

    #[test]
    fn a_guest_that_comes_and_goes_and_takes_nothing_leaves_nothing_behind() {
        let (host, mut muxer) = muxer();
        for _ in 0..1000 {
            muxer.on_packet(&packet(Operation::Request), &[]);
            muxer.on_packet(&packet(Operation::Reset), &[]);
            drop(host.take_reached().unwrap());
        }
        assert!(muxer.connections.is_empty());
        assert!(muxer.turns.is_empty(), "{} turns of connections that are gone", muxer.turns.len());
    }

    #[test]
    fn a_buffer_without_room_for_bytes_gets_a_packet_without_any() {
        let (host, mut muxer) = muxer();
        muxer.on_packet(&packet(Operation::Request), &[]);
        assert_eq!(muxer.next_packet(&mut []).unwrap().operation, Operation::Response);
        host.take_reached().unwrap().write_all(b"hello").unwrap();
        muxer.poll();
        let (done, ended) = mpsc::channel();
        std::thread::spawn(move || {
            let packets = [0, 0, 64].map(|room| muxer.next_packet(&mut vec![0; room]).unwrap());
            done.send(packets.map(|header| (header.operation, header.len))).unwrap();
        });
        let packets = ended.recv_timeout(Duration::from_secs(10)).expect("it goes on for ever");
        let nothing = (Operation::CreditUpdate, 0);
        assert_eq!(packets, [nothing, nothing, (Operation::Data, 5)]);
    }
}
