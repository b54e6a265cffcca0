// SPDX-License-Identifier: Apache-2.0
//! The client's end: blocking, with time limits, usable from several threads at once.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use flotilla_spec::report::{BalloonReport, MachineInfo, ReclaimReport};
use flotilla_spec::{LimitsSpec, LinkState, MachineSpec, ThrottleTarget};
use serde_json::{Value, json};
use thiserror::Error;

use crate::event::Event;
use crate::failure::Failure;
use crate::frame::MAX_FRAME;
use crate::message::{HANDSHAKE, Handshake, VersionRange, Welcome};
use crate::socket::{self, Patience, SocketError};
use crate::thread::named;
use crate::wire::{Incoming, Request};

/// How many events wait for [`Client::next_event`] before the oldest are dropped and counted.
const MAX_WAITING: usize = 1024;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Who the client is, for the worker's log.
    pub name: String,
    /// How long a call may take.
    pub timeout: Duration,
    /// Ask for the kept events after this number.
    pub events_after: Option<u64>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { name: "client".to_owned(), timeout: Duration::from_secs(30), events_after: None }
    }
}

/// Where the console of a machine goes and what outlives its worker.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outlets<'a> {
    /// The listening socket of the console.
    pub console: Option<BorrowedFd<'a>>,
    /// The file of [`crate::black_box`].
    pub black_box: Option<BorrowedFd<'a>>,
}

/// Why a call failed at the client's end.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The worker cannot be reached.
    #[error("Cannot connect to the worker: look into worker.log, then start the machine again")]
    Connect(#[source] io::Error),
    /// The worker went away before it answered.
    #[error("Worker went away before it answered: look into worker.log, then start the machine again")]
    Gone,
    /// The worker did not answer in time.
    #[error("Worker did not answer {method} within {limit:?}: try again, or end the worker")]
    TimedOut {
        /// The call.
        method: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The call could not be sent.
    #[error("Cannot send {method}")]
    Send {
        /// The call.
        method: String,
        /// What stood in the way.
        #[source]
        source: SocketError,
    },
    /// The worker answered with something else than was asked for.
    #[error("Worker's answer to {method} does not fit: use a client and a worker of the same release")]
    Answer {
        /// The call.
        method: String,
        /// What did not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The worker refused the call.
    #[error(transparent)]
    Refused(#[from] Failure),
}

impl ClientError {
    /// The stable code of the error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Connect(_)
            | Self::Gone
            | Self::TimedOut { .. }
            | Self::Send { source: SocketError::Closed, .. } => ErrorCode::WorkerGone,
            Self::Send { .. } | Self::Answer { .. } => ErrorCode::WorkerProtocol,
            Self::Refused(failure) => failure.code,
        }
    }

    /// The error as plain data.
    pub fn into_failure(self) -> Failure {
        let code = self.code();
        match self {
            Self::Refused(failure) => failure,
            other => Failure::new(code, other.to_string()),
        }
    }
}

/// A connection that controls a worker. Dropping it lets go of the worker, which goes on.
pub struct Client {
    stream: Arc<UnixStream>,
    shared: Arc<Shared>,
    sending: Mutex<()>,
    timeout: Duration,
    welcome: Welcome,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next_id: u64,
    /// Calls under way; an answer to anything else is dropped.
    answers: HashMap<u64, Option<Result<Value, Failure>>>,
    events: VecDeque<Event>,
    dropped: u64,
    gone: bool,
    refusal: Option<Failure>,
}

impl Client {
    /// Connects to the control socket at `path`.
    pub fn connect(path: &Path, options: &ClientOptions) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(ClientError::Connect)?;
        Self::from_stream(stream, options)
    }

    /// Takes control over a connection that is already open.
    pub fn from_stream(stream: UnixStream, options: &ClientOptions) -> Result<Self, ClientError> {
        let stream = Arc::new(stream);
        let shared = Arc::new(Shared::default());
        let reader = {
            let (stream, shared) = (Arc::clone(&stream), Arc::clone(&shared));
            let thread = named("worker-client");
            thread.spawn(move || read(&stream, &shared)).map_err(ClientError::Connect)?
        };
        let nobody = Welcome { protocol: 0, build: String::new(), machine: None, last_event: 0 };
        let timeout = options.timeout;
        let mut client =
            Self { stream, shared, sending: Mutex::new(()), timeout, welcome: nobody, reader: Some(reader) };
        let handshake = Handshake {
            protocol: VersionRange::OURS,
            client: options.name.clone(),
            events_after: options.events_after,
        };
        let source = |source| ClientError::Answer { method: HANDSHAKE.to_owned(), source };
        let params = serde_json::to_value(handshake).map_err(source)?;
        let answer = client.call(HANDSHAKE, params, &[])?;
        client.welcome = serde_json::from_value(answer).map_err(source)?;
        Ok(client)
    }

    /// What the worker said about itself.
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Builds the machine. `descriptors` are in the order of [`flotilla_spec::descriptors`]; paths of the
    /// specification are replaced by their numbers.
    pub fn configure(
        &self,
        id: &MachineId,
        spec: &MachineSpec,
        descriptors: &[OwnedFd],
        outlets: Outlets<'_>,
    ) -> Result<(), ClientError> {
        let Outlets { console, black_box } = outlets;
        let (spec, _) = spec.to_descriptors();
        let params = json!({
            "id": id, "spec": spec, "console": console.is_some(), "blackBox": black_box.is_some(),
        });
        let riding: Vec<_> = descriptors.iter().map(AsFd::as_fd).chain(console).chain(black_box).collect();
        self.call("configure", params, &riding).map(drop)
    }

    /// Starts the machine.
    pub fn boot(&self) -> Result<(), ClientError> {
        self.plain("boot")
    }

    /// Stops the virtual CPUs; returns once all have stopped.
    pub fn pause(&self) -> Result<(), ClientError> {
        self.plain("pause")
    }

    /// Lets the virtual CPUs go on.
    pub fn resume(&self) -> Result<(), ClientError> {
        self.plain("resume")
    }

    /// Presses the power button.
    pub fn power_button(&self) -> Result<(), ClientError> {
        self.plain("powerButton")
    }

    /// Resets the machine.
    pub fn reset(&self) -> Result<(), ClientError> {
        self.plain("reset")
    }

    /// Plugs the cable of an interface in, or pulls it out.
    pub fn set_link(&self, interface: &str, link: LinkState) -> Result<(), ClientError> {
        self.call("setLink", json!({ "interface": interface, "link": link }), &[]).map(drop)
    }

    /// Has the guest tell the network of an interface where it is.
    pub fn announce(&self, interface: &str) -> Result<(), ClientError> {
        self.call("announce", json!({ "interface": interface }), &[]).map(drop)
    }

    /// Changes what a device, or a group of them, may do.
    pub fn set_throttle(&self, target: &ThrottleTarget, limits: LimitsSpec) -> Result<(), ClientError> {
        self.call("setThrottle", json!({ "target": target, "limits": limits }), &[]).map(drop)
    }

    /// Sets the bytes that the guest shall give up.
    pub fn set_balloon(&self, target: u64) -> Result<(), ClientError> {
        self.call("setBalloon", json!({ "target": target }), &[]).map(drop)
    }

    /// Asks for the balloon, with statistics of the guest that are new if it runs and answers within a second.
    pub fn balloon(&self) -> Result<BalloonReport, ClientError> {
        const METHOD: &str = "balloon";
        let answer = self.call(METHOD, Value::Null, &[])?;
        serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { method: METHOD.to_owned(), source })
    }

    /// Asks the guest for all that nothing in it uses and gives it back to the host, for 4 seconds at most.
    pub fn reclaim_memory(&self) -> Result<ReclaimReport, ClientError> {
        const METHOD: &str = "reclaimMemory";
        let answer = self.call(METHOD, Value::Null, &[])?;
        serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { method: METHOD.to_owned(), source })
    }

    /// Ends the machine now. The worker ends soon after.
    pub fn stop(&self) -> Result<(), ClientError> {
        self.plain("stop")
    }

    /// Asks for state and identity.
    pub fn info(&self) -> Result<MachineInfo, ClientError> {
        let answer = self.call("info", Value::Null, &[])?;
        serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { method: "info".to_owned(), source })
    }

    /// Asks for the counters by name.
    pub fn metrics(&self) -> Result<std::collections::BTreeMap<String, u64>, ClientError> {
        let answer = self.call("metrics", Value::Null, &[])?;
        serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { method: "metrics".to_owned(), source })
    }

    /// Looks how large the disk of this id is now, tells the guest, and gives its size in bytes.
    pub fn refresh_disk(&self, disk: &str) -> Result<u64, ClientError> {
        const METHOD: &str = "refreshDisk";
        let answer = self.call(METHOD, json!({ "disk": disk }), &[])?;
        serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { method: METHOD.to_owned(), source })
    }

    /// Makes the disk of this id larger, tells the guest, and gives its size in bytes.
    pub fn grow_disk(&self, disk: &str, size: u64) -> Result<u64, ClientError> {
        const METHOD: &str = "growDisk";
        let answer = self.call(METHOD, json!({ "disk": disk, "size": size }), &[])?;
        serde_json::from_value(answer)
            .map_err(|source| ClientError::Answer { method: METHOD.to_owned(), source })
    }

    /// The next event, waiting up to `wait`; `None` when none came. An event of kind `lost` stands for those that
    /// came while too many waited.
    pub fn next_event(&self, wait: Duration) -> Result<Option<Event>, ClientError> {
        let quiet = |state: &mut State| state.events.is_empty() && !state.gone;
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), wait, quiet);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.dropped > 0 {
            let seq = state.events.front().map_or(0, |event| event.seq.saturating_sub(1));
            let count = std::mem::take(&mut state.dropped);
            return Ok(Some(Event::lost(seq, count)));
        }
        match state.events.pop_front() {
            Some(event) => Ok(Some(event)),
            None if state.gone => Err(ClientError::Gone),
            None => Ok(None),
        }
    }

    /// Lets go of the worker and ends every call under way. Idempotent.
    pub fn close(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Carries out any call and gives its answer.
    pub fn call(
        &self,
        method: &str,
        params: Value,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<Value, ClientError> {
        let id = self.shared.begin();
        let request = serde_json::to_vec(&Request::new(id, method, params))
            .map_err(|source| ClientError::Answer { method: method.to_owned(), source })?;
        let sent = {
            let _turn = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
            socket::send(&self.stream, &request, descriptors, self.timeout)
        };
        if let Err(source) = sent {
            let state = &mut *self.shared.lock();
            state.answers.remove(&id);
            // Half a frame may be out: nothing that follows could be understood.
            self.close();
            return Err(ClientError::Send { method: method.to_owned(), source });
        }
        self.shared.await_answer(id, method, self.timeout)
    }

    fn plain(&self, method: &str) -> Result<(), ClientError> {
        self.call(method, Value::Null, &[]).map(drop)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.close();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> u64 {
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        state.answers.insert(id, None);
        id
    }

    fn await_answer(&self, id: u64, method: &str, limit: Duration) -> Result<Value, ClientError> {
        let open = |state: &mut State| !state.gone && matches!(state.answers.get(&id), Some(None));
        let waited = self.changed.wait_timeout_while(self.lock(), limit, open);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match state.answers.remove(&id).flatten() {
            Some(answer) => Ok(answer?),
            None if state.gone => Err(state.refusal.take().map_or(ClientError::Gone, ClientError::Refused)),
            None => Err(ClientError::TimedOut { method: method.to_owned(), limit }),
        }
    }

    fn take(&self, incoming: Incoming) {
        let mut state = self.lock();
        match incoming {
            Incoming::Answer { id: Some(id), result } => {
                if let Some(slot) = state.answers.get_mut(&id) {
                    *slot = Some(result);
                }
            }
            Incoming::Answer { id: None, result } => state.refusal = result.err(),
            Incoming::Notification { method, params } if method == "event" => {
                let Ok(event) = serde_json::from_value(params) else { return };
                if state.events.len() == MAX_WAITING {
                    state.events.pop_front();
                    state.dropped += 1;
                }
                state.events.push_back(event);
            }
            Incoming::Notification { .. } => {}
        }
        drop(state);
        self.changed.notify_all();
    }
}

/// Takes what the worker sends until the connection ends. The worker may have been taken over by its guest: its
/// frames are bounded, its descriptors closed, its nonsense ends the connection.
fn read(stream: &UnixStream, shared: &Shared) {
    let patience = Patience { first: None, whole: Duration::from_secs(10) };
    while let Ok(received) = socket::receive(stream, patience) {
        debug_assert!(received.payload.len() <= MAX_FRAME, "the frame reader keeps its bound");
        match Incoming::parse(&received.payload) {
            Ok(incoming) => shared.take(incoming),
            Err(failure) => {
                shared.lock().refusal = Some(failure);
                break;
            }
        }
    }
    let _ = stream.shutdown(std::net::Shutdown::Both);
    shared.lock().gone = true;
    shared.changed.notify_all();
}
