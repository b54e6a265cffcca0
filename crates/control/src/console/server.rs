// SPDX-License-Identifier: Apache-2.0
//! The worker's end of the console socket.
//!
//! Each connection has two threads of its own: one takes output from the endpoint, one brings input. A reader that
//! does not read blocks only its own thread.
//!
//! A server that finishes first shuts its listening socket down. From then on the kernel refuses connections, and still
//! hands out those that it took before: each of them is served to its end. So a client that gets in gets everything,
//! and one that comes too late learns so at once and reads what the machine left behind.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::frames::{Frames, Piece};
use super::hello::{HELLO, Hello, LIVE, Purpose, Status, Welcome};
use super::writer::{Turn, Writer};
use super::{Chunk, Endpoint};
use crate::thread::{lock, named};

/// How many readers a console has at once; more are refused.
const MAX_READERS: usize = 32;
/// How many connections it has at once, beside one for each named port. Once they have said what they are, readers cannot take the
/// places of writers, and of those who look at what is kept.
const MAX_CONNECTIONS: usize = MAX_READERS + 8;
/// How long a client may take to say hello: between its connecting and that it may wait for a CPU.
const HELLO_PATIENCE: Duration = Duration::from_secs(10);
/// How long a blocked step may take before it looks around.
const STEP: Duration = Duration::from_secs(2);
const CHUNK: usize = 16 << 10;
/// How many refused connections stay half open, so that their hello does not meet a closed socket and hide the answer.
const MAX_REFUSED: usize = 8;

/// A running console server. Dropping it closes the connections and ends its threads.
pub struct ConsoleServer {
    shared: Arc<Shared>,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    listener: UnixListener,
    /// The consoles by their names. The serial one has none.
    consoles: BTreeMap<String, Arc<Served>>,
    /// No more connections come: an accept that fails is the last one.
    finishing: AtomicBool,
    /// Threads end at the next step, whatever they have still to send.
    stopping: AtomicBool,
    connections: Mutex<Vec<Connection>>,
    fewer: Condvar,
}

/// One console.
struct Served {
    endpoint: Arc<dyn Endpoint>,
    writer: Writer,
}

struct Connection {
    stream: Arc<UnixStream>,
    /// Whether it takes the place of a reader.
    reads: bool,
}

impl ConsoleServer {
    /// Serves the serial console `serial`, and the consoles of `ports` by their names, on a listening socket.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start(
        listener: UnixListener,
        serial: Arc<dyn Endpoint>,
        ports: BTreeMap<String, Arc<dyn Endpoint>>,
    ) -> io::Result<Self> {
        let all = ports.into_iter().chain([(String::new(), serial)]);
        let served = |endpoint| Arc::new(Served { endpoint, writer: Writer::default() });
        let shared = Arc::new(Shared {
            listener,
            consoles: all.map(|(name, endpoint)| (name, served(endpoint))).collect(),
            finishing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
            fewer: Condvar::new(),
        });
        let accepting = Arc::clone(&shared);
        let thread = named("console").spawn(move || accept(&accepting))?;
        Ok(Self { shared, accepting: Mutex::new(Some(thread)) })
    }

    /// Takes no more connections and waits until every reader of a console that has ended was given the last output,
    /// also one that had connected and was not yet let in. One that does not read is waited for up to `limit`.
    /// Whether all have it.
    pub fn finish(&self, limit: Duration) -> bool {
        self.end_accepting();
        let busy = |connections: &mut Vec<Connection>| !connections.is_empty();
        let waited = self.shared.fewer.wait_timeout_while(lock(&self.shared.connections), limit, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Returns once every connection that the kernel took has been let in, or closed because there are too many.
    fn end_accepting(&self) {
        self.shared.finishing.store(true, Ordering::Release);
        let _ = rustix::net::shutdown(self.shared.listener.as_fd(), rustix::net::Shutdown::Both);
        if let Some(thread) = lock(&self.accepting).take() {
            let _ = thread.join();
        }
    }
}

impl Drop for ConsoleServer {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.end_accepting();
        for connection in lock(&self.shared.connections).drain(..) {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}

impl Shared {
    /// Whether the connection is still on the list.
    fn serves(&self, stream: &Arc<UnixStream>) -> bool {
        lock(&self.connections).iter().any(|other| Arc::ptr_eq(&other.stream, stream))
    }

    /// Gives a connection the place of a reader, if one is left.
    fn take_place(&self, stream: &Arc<UnixStream>) -> bool {
        let mut connections = lock(&self.connections);
        if connections.iter().filter(|other| other.reads).count() >= MAX_READERS {
            return false;
        }
        let own = connections.iter_mut().filter(|other| Arc::ptr_eq(&other.stream, stream));
        own.for_each(|own| own.reads = true);
        true
    }

    fn forget(&self, stream: &Arc<UnixStream>) {
        lock(&self.connections).retain(|other| !Arc::ptr_eq(&other.stream, stream));
        self.fewer.notify_all();
    }

    fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

fn accept(shared: &Arc<Shared>) {
    let mut refused = VecDeque::new();
    loop {
        match shared.listener.accept() {
            Ok((stream, _)) => {
                refused.extend(admit(shared, stream));
                if refused.len() > MAX_REFUSED {
                    refused.pop_front();
                }
            }
            Err(_) if shared.finishing.load(Ordering::Acquire) => return,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a console connection");
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// Serves a connection, or gives it back, answered and closed for writing.
fn admit(shared: &Arc<Shared>, stream: UnixStream) -> Option<Arc<UnixStream>> {
    let stream = Arc::new(stream);
    {
        let mut connections = lock(&shared.connections);
        let open = connections.len();
        if open + 1 >= MAX_CONNECTIONS + shared.consoles.len() {
            tracing::warn!("a console connection is refused: {open} are open");
            drop(connections);
            // Takes no time: nothing was sent over it.
            let _ = refuse(&stream, Status::Full);
            let _ = stream.shutdown(Shutdown::Write);
            return Some(stream);
        }
        connections.push(Connection { stream: Arc::clone(&stream), reads: false });
    }
    let (owner, served) = (Arc::clone(shared), Arc::clone(&stream));
    let serve = move || {
        if let Err(error) = serve(&owner, &served) {
            tracing::debug!(%error, "console connection ended");
        }
        let _ = served.shutdown(Shutdown::Both);
        owner.forget(&served);
    };
    if named("console-out").spawn(serve).is_err() {
        shared.forget(&stream);
    }
    None
}

fn serve(shared: &Arc<Shared>, stream: &Arc<UnixStream>) -> io::Result<()> {
    stream.set_read_timeout(Some(HELLO_PATIENCE))?;
    stream.set_write_timeout(Some(STEP))?;
    let mut hello = [0; HELLO];
    (&**stream).read_exact(&mut hello)?;
    let Some((hello, name)) = Hello::decode(hello) else { return refuse(stream, Status::BadHello) };
    let mut name = vec![0; name];
    (&**stream).read_exact(&mut name)?;
    stream.set_read_timeout(Some(STEP))?;
    let Some(console) = std::str::from_utf8(&name).ok().and_then(|name| shared.consoles.get(name)) else {
        return refuse(stream, Status::NoPort);
    };
    let turn = match hello.purpose {
        Purpose::Snapshot => return send_snapshot(shared, console.endpoint.as_ref(), stream, hello.offset),
        Purpose::Read if shared.take_place(stream) => None,
        Purpose::Read => return refuse(stream, Status::Full),
        Purpose::Write => match console.writer.claim(stream) {
            Some(turn) => Some(Arc::new(turn)),
            None => return refuse(stream, Status::WriterTaken),
        },
    };
    let visit = Visit {
        shared: Arc::clone(shared),
        endpoint: Arc::clone(&console.endpoint),
        stream: Arc::clone(stream),
        turn,
        framed: !name.is_empty(),
    };
    visit.stream_both(hello.offset)
}

/// Sends what is kept now, with its length.
fn send_snapshot(
    shared: &Shared,
    endpoint: &dyn Endpoint,
    mut stream: &UnixStream,
    offset: u64,
) -> io::Result<()> {
    let (offset, bytes) = endpoint.snapshot(offset);
    let ring = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&Welcome { status: Status::Ok, ring, offset }.encode())?;
    send_all(shared, stream, &bytes)
}

fn refuse(mut stream: &UnixStream, status: Status) -> io::Result<()> {
    stream.write_all(&Welcome { status, ring: 0, offset: 0 }.encode())
}

/// Sends all bytes, however long the reader takes for them.
fn send_all(shared: &Shared, mut stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() && !shared.stopping() {
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(sent) => bytes = bytes.get(sent..).unwrap_or_default(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A client that was let in.
#[derive(Clone)]
struct Visit {
    shared: Arc<Shared>,
    endpoint: Arc<dyn Endpoint>,
    stream: Arc<UnixStream>,
    /// The right to write.
    turn: Option<Arc<Turn>>,
    /// Whether a writer sends frames.
    framed: bool,
}

impl Visit {
    /// Sends output in this thread while another one brings input; ends when either does.
    fn stream_both(&self, offset: u64) -> io::Result<()> {
        let (oldest, end) = self.endpoint.bounds();
        let offset = if offset == LIVE { end } else { offset.clamp(oldest, end) };
        // One whose client went before this may have been followed already, and then nobody would say that it left.
        if let Some(turn) = &self.turn {
            turn.during(|| self.endpoint.enter_writer(offset));
        }
        let both = self.greet(offset).and_then(|()| {
            let visit = self.clone();
            let input = named("console-in").spawn(move || {
                visit.bring_input();
                // The next writer need not wait for the thread that sends.
                visit.leave();
                let _ = visit.stream.shutdown(Shutdown::Read);
                visit.shared.forget(&visit.stream);
            })?;
            Ok((input, self.send_output(offset)))
        });
        let _ = self.stream.shutdown(Shutdown::Both);
        // Its client has everything. What it typed last may wait for a guest that takes nothing any more.
        self.shared.forget(&self.stream);
        let sent = both.and_then(|(input, sent)| {
            let _ = input.join();
            sent
        });
        self.leave();
        sent
    }

    /// Ends the turn of a writer. Idempotent.
    fn leave(&self) {
        if let Some(turn) = &self.turn {
            turn.end(|| self.endpoint.leave_writer());
        }
    }

    fn greet(&self, offset: u64) -> io::Result<()> {
        let welcome = Welcome { status: Status::Ok, ring: self.endpoint.capacity(), offset };
        (&*self.stream).write_all(&welcome.encode())
    }

    fn send_output(&self, mut offset: u64) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        // The input thread takes the connection off the list when its client is gone.
        while !self.shared.stopping() && self.shared.serves(&self.stream) {
            match self.endpoint.read(offset, &mut buffer, Duration::from_millis(500)) {
                Chunk::Bytes(len) => {
                    let bytes = buffer.get(..len).unwrap_or_default();
                    send_all(&self.shared, &self.stream, bytes)?;
                    offset = offset.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                    if let Some(turn) = &self.turn {
                        turn.during(|| self.endpoint.writer_has(offset));
                    }
                }
                Chunk::Missed => return Err(io::Error::other("reader fell behind what is kept")),
                Chunk::Ended => return Ok(()),
            }
        }
        Ok(())
    }

    fn bring_input(&self) {
        let mut buffer = [0; 4096];
        let mut frames = Frames::default();
        while !self.shared.stopping() {
            let len = match (&*self.stream).read(&mut buffer) {
                Ok(0) => return,
                Ok(len) => len,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                    continue;
                }
                Err(_) => return,
            };
            let mut bytes = buffer.get(..len).unwrap_or_default();
            if !self.framed || self.turn.is_none() {
                self.write(bytes);
                continue;
            }
            loop {
                match frames.next(&mut bytes) {
                    Ok(Some(Piece::Input(input))) => self.write(input),
                    Ok(Some(Piece::Size { columns, rows })) if self.may_write() => {
                        self.endpoint.resize(columns, rows);
                    }
                    Ok(Some(Piece::Size { .. })) => {}
                    Ok(None) => break,
                    Err(_) => {
                        tracing::debug!("a writer of a console sends what is no frame");
                        return;
                    }
                }
            }
        }
    }

    /// Whether it is the writer. One that went while the guest took nothing may have been followed by another one.
    fn may_write(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.lasts())
            && self.shared.serves(&self.stream)
            && !self.shared.stopping()
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() && self.may_write() {
            let taken = self.endpoint.write(bytes, Duration::from_millis(200));
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }
}
