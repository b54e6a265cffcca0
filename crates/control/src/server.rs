// SPDX-License-Identifier: Apache-2.0
//! The worker's end.
//!
//! ```text
//!   accept thread ──▶ one thread for each connection: handshake ──▶ controller? ──no──▶ worker.busy, closed
//!                                                                       │ yes
//!                                   reads calls, answers them ◀─────────┴──▶ event thread: sends what the log gets
//! ```
//!
//! A peer is not trusted to be quick, polite or ours: handshakes have a time limit and are few at once, frames have
//! time and size limits, an answer or event that is not taken in time ends the connection. None of that reaches the
//! machine: events go through a log that never waits.
//!
//! A server that ends closes the half of the connection that it reads from. From then on the kernel refuses what the
//! client sends, at the client; what it has sent before is still read, answered and taken. So every call either gets
//! its answer or fails at once, and no time is guessed in which late calls might come.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{io, net};

use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use serde_json::Value;

use crate::event::EventLog;
use crate::failure::Failure;
use crate::message::{Call, Handshake, short};
use crate::socket::{self, Patience, SocketError};
use crate::thread::{lock, named};
use crate::wire::{self, Request, protocol};

/// How many connections may be in their handshake at once.
const MAX_HANDSHAKES: usize = 8;

/// Time limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the connection to the end of its handshake.
    pub handshake: Duration,
    /// From the first byte of a frame to its last.
    pub frame: Duration,
    /// Until the peer takes what is sent to it.
    pub send: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { handshake: seconds(5), frame: seconds(10), send: seconds(10) }
    }
}

/// What a worker does when it is called.
pub trait Service: Send + Sync {
    /// The machine, once it is configured.
    fn machine(&self) -> Option<MachineId>;
    /// Carries out a call. Calls of one client come one after the other.
    fn call(&self, call: Call, descriptors: Vec<OwnedFd>) -> Result<Value, Failure>;
}

/// A running server. Dropping it closes the connections and ends its threads.
pub struct Server {
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

/// Starts a thread with a name. The host may refuse it.
type Spawn = fn(&str, Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

struct Shared {
    listener: UnixListener,
    spawn: Spawn,
    service: Arc<dyn Service>,
    events: Arc<EventLog>,
    limits: Limits,
    stopping: AtomicBool,
    handshakes: AtomicUsize,
    came: AtomicU64,
    connections: Mutex<Vec<Arc<Connection>>>,
    controller: Mutex<Option<Arc<Connection>>>,
    /// The controller went, or was sent an event.
    progress: Condvar,
    finishing: AtomicBool,
}

struct Connection {
    stream: UnixStream,
    sending: Mutex<()>,
    closed: AtomicBool,
    delivered: AtomicU64,
}

impl Server {
    /// Serves `service` on a listening socket.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        listener: UnixListener,
        service: Arc<dyn Service>,
        events: Arc<EventLog>,
        limits: Limits,
    ) -> io::Result<Self> {
        Self::start_with(listener, service, events, limits, |name, work| named(name).spawn(work))
    }

    fn start_with(
        listener: UnixListener,
        service: Arc<dyn Service>,
        events: Arc<EventLog>,
        limits: Limits,
        spawn: Spawn,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            listener,
            spawn,
            service,
            events,
            limits,
            stopping: AtomicBool::new(false),
            handshakes: AtomicUsize::new(0),
            came: AtomicU64::new(0),
            connections: Mutex::default(),
            controller: Mutex::default(),
            progress: Condvar::new(),
            finishing: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        let thread = spawn("control", Box::new(move || accept(&accepting)))?;
        Ok(Self { shared, accepting: Some(thread) })
    }

    /// Whether a client controls the worker now.
    pub fn has_client(&self) -> bool {
        lock(&self.shared.controller).is_some()
    }

    /// How many clients have come so far, also those who left before they said who they are.
    pub fn clients(&self) -> u64 {
        self.shared.came.load(Ordering::Acquire)
    }

    /// Waits up to `limit` until the controlling client was sent every event up to `seq`. One that goes away ends
    /// the wait, and so does nobody being there, unless a client is `expected`.
    pub fn await_delivery(&self, seq: u64, limit: Duration, expected: bool) {
        self.shared.await_progress(Instant::now() + limit, |controller| match controller {
            Some(connection) => connection.delivered.load(Ordering::Acquire) >= seq,
            None => !expected,
        });
    }

    /// Takes no more calls and no more clients, and waits up to `limit` until the controlling client has the answer
    /// to each call that it has sent.
    pub fn finish(&self, limit: Duration) {
        {
            let controller = lock(&self.shared.controller);
            self.shared.finishing.store(true, Ordering::Release);
            if let Some(connection) = &*controller {
                let _ = connection.stream.shutdown(net::Shutdown::Read);
            }
        }
        self.shared.await_progress(Instant::now() + limit, Option::is_none);
    }
}

impl Shared {
    fn await_progress(&self, deadline: Instant, done: impl Fn(&Option<Arc<Connection>>) -> bool) {
        let limit = deadline.saturating_duration_since(Instant::now());
        let waited = self.progress.wait_timeout_while(lock(&self.controller), limit, |now| !done(now));
        drop(waited);
    }

    /// Changes what [`Shared::await_progress`] looks at.
    fn tell(&self, change: impl FnOnce(&mut Option<Arc<Connection>>)) {
        change(&mut lock(&self.controller));
        self.progress.notify_all();
    }
}

impl Shared {
    fn forget(&self, connection: &Arc<Connection>) {
        connection.close();
        lock(&self.connections).retain(|other| !Arc::ptr_eq(other, connection));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        // Shutting a listening socket down ends the accept that waits on it.
        let _ = rustix::net::shutdown(self.shared.listener.as_fd(), rustix::net::Shutdown::Both);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
        for connection in lock(&self.shared.connections).drain(..) {
            connection.close();
        }
        self.shared.events.wake();
    }
}

fn accept(shared: &Arc<Shared>) {
    while !shared.stopping.load(Ordering::Acquire) {
        match shared.listener.accept() {
            Ok((stream, _)) => admit(shared, stream),
            Err(_) if shared.stopping.load(Ordering::Acquire) => return,
            // For want of descriptors, for example: wait for better times and do not spin.
            Err(error) => {
                tracing::warn!(%error, "cannot accept a control connection");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Starts a thread for a connection unless too many have not said who they are.
fn admit(shared: &Arc<Shared>, stream: UnixStream) {
    if shared.handshakes.fetch_add(1, Ordering::AcqRel) >= MAX_HANDSHAKES {
        shared.handshakes.fetch_sub(1, Ordering::AcqRel);
        return;
    }
    let connection = Arc::new(Connection {
        stream,
        sending: Mutex::new(()),
        closed: AtomicBool::new(false),
        delivered: AtomicU64::new(0),
    });
    lock(&shared.connections).push(Arc::clone(&connection));
    shared.came.fetch_add(1, Ordering::AcqRel);
    let (owner, served) = (Arc::clone(shared), Arc::clone(&connection));
    let serve = move || {
        serve(&owner, &served);
        owner.forget(&served);
    };
    if let Err(error) = (shared.spawn)("control-client", Box::new(serve)) {
        shared.handshakes.fetch_sub(1, Ordering::AcqRel);
        connection.give_up(shared, &error);
        shared.forget(&connection);
    }
}

fn serve(shared: &Arc<Shared>, connection: &Arc<Connection>) {
    let greeted = greet(shared, connection);
    shared.handshakes.fetch_sub(1, Ordering::AcqRel);
    let Some(after) = greeted else { return };
    let events = {
        let (shared, connection) = (Arc::clone(shared), Arc::clone(connection));
        (shared.spawn)("control-events", Box::new(move || send_events(&shared, &connection, after)))
    };
    match events {
        Ok(events) => {
            answer_calls(shared, connection);
            connection.close();
            // The next client may come only when nothing of this one is under way any more.
            shared.events.wake();
            let _ = events.join();
        }
        // A client that never hears of an event would take its machine for alive.
        Err(error) => connection.give_up(shared, &error),
    }
    shared.tell(|controller| *controller = None);
}

/// Reads the handshake and makes the connection the controller. Gives the number of the event to go on after.
fn greet(shared: &Shared, connection: &Arc<Connection>) -> Option<u64> {
    let limit = shared.limits.handshake;
    let received = match socket::receive(&connection.stream, Patience { first: Some(limit), whole: limit }) {
        Ok(received) => received,
        Err(error) => {
            connection.refuse(shared, None, &error);
            return None;
        }
    };
    let request = match Request::parse(&received.payload) {
        Ok(request) => request,
        Err(failure) => {
            connection.answer(shared, None, Err(failure));
            return None;
        }
    };
    let welcome = welcome(shared, connection, &request, received.descriptors.is_empty());
    match welcome {
        Ok((welcome, after)) => {
            connection.answer(shared, Some(request.id), Ok(welcome)).then_some(after).or_else(|| {
                shared.tell(|controller| *controller = None);
                None
            })
        }
        Err(failure) => {
            connection.answer(shared, Some(request.id), Err(failure));
            None
        }
    }
}

fn welcome(
    shared: &Shared,
    connection: &Arc<Connection>,
    request: &Request,
    bare: bool,
) -> Result<(Value, u64), Failure> {
    let handshake = Handshake::parse(&request.method, request.params.clone())?;
    if !bare {
        return Err(protocol("Handshake takes no descriptors"));
    }
    let last = shared.events.last();
    let welcome = handshake.welcome(shared.service.machine(), last)?;
    let welcome = serde_json::to_value(welcome).map_err(|error| protocol(error.to_string()))?;
    let mut controller = lock(&shared.controller);
    if shared.finishing.load(Ordering::Acquire) {
        return Err(Failure::new(ErrorCode::WorkerGone, "This worker is ending"));
    }
    if controller.is_some() {
        return Err(Failure::new(ErrorCode::WorkerBusy, "Another client controls this worker"));
    }
    *controller = Some(Arc::clone(connection));
    tracing::info!(client = short(&handshake.client), "client controls this worker");
    // A client may know a number from an earlier worker of the same machine: never wait for the future.
    let after = handshake.events_after.unwrap_or(last).min(last);
    connection.delivered.store(after, Ordering::Release);
    Ok((welcome, after))
}

fn answer_calls(shared: &Shared, connection: &Connection) {
    let patience = Patience { first: None, whole: shared.limits.frame };
    loop {
        let received = match socket::receive(&connection.stream, patience) {
            Ok(received) => received,
            Err(SocketError::Closed) => return,
            Err(error) => return connection.refuse(shared, None, &error),
        };
        // A peer that does not speak JSON-RPC gets one answer and no second chance.
        let request = match Request::parse(&received.payload) {
            Ok(request) => request,
            Err(failure) => {
                connection.answer(shared, None, Err(failure));
                return;
            }
        };
        let result = call(shared, &request.method, request.params, received.descriptors);
        if !connection.answer(shared, Some(request.id), result) {
            return;
        }
    }
}

fn call(shared: &Shared, method: &str, params: Value, descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
    let call = Call::parse(method, params)?;
    if !descriptors.is_empty() && !call.takes_descriptors() {
        return Err(protocol(format!("Method {method} takes no descriptors")));
    }
    shared.service.call(call, descriptors)
}

fn send_events(shared: &Shared, connection: &Connection, mut after: u64) {
    while !connection.closed.load(Ordering::Acquire) && !shared.stopping.load(Ordering::Acquire) {
        for event in shared.events.after(after, Duration::from_secs(1)) {
            let params = serde_json::to_value(&event).unwrap_or_default();
            if !connection.send(shared, &wire::notification("event", &params)) {
                return;
            }
            after = event.seq;
            shared.tell(|_| connection.delivered.store(after, Ordering::Release));
        }
    }
}

impl Connection {
    fn answer(&self, shared: &Shared, id: Option<u64>, result: Result<Value, Failure>) -> bool {
        self.send(shared, &wire::answer(id, result))
    }

    fn refuse(&self, shared: &Shared, id: Option<u64>, error: &SocketError) {
        tracing::warn!(%error, "control connection is closed");
        if !matches!(error, SocketError::Closed | SocketError::Cut | SocketError::Io(_)) {
            self.answer(shared, id, Err(protocol(error.to_string())));
        }
    }

    /// Ends the connection for want of a thread.
    fn give_up(&self, shared: &Shared, error: &io::Error) {
        tracing::warn!(%error, "cannot start a thread for a control connection");
        let message = format!("This worker cannot start a thread for the connection: {error}");
        self.answer(shared, None, Err(Failure::new(ErrorCode::HostNoMemory, message)));
        self.close();
    }

    /// Sends one frame; a peer that does not take it is cut off.
    fn send(&self, shared: &Shared, payload: &[u8]) -> bool {
        let _turn = lock(&self.sending);
        let sent = socket::send(&self.stream, payload, &[], shared.limits.send);
        if sent.is_err() {
            self.close();
        }
        sent.is_ok()
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let _ = self.stream.shutdown(net::Shutdown::Both);
    }
}

#[cfg(test)]
mod tests;
