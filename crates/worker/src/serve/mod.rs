// SPDX-License-Identifier: Apache-2.0
//! `flotilla-vmm serve`: a machine for a client.
//!
//! ```text
//!   start ──▶ waiting for a client and its configure ──▶ machine built ──▶ booted ──▶ … ──▶ machine stopped ──▶ exit
//!                 │ 30 s without a client, or                  │ 5 s after               once the client has the last event
//!                 ▼ 5 s after it left                          ▼ the client left         and its answers, or nobody is there
//!           exit, status 14                              exit, status 14
//! ```
//!
//! The end of the machine and its last output are in the black box before anybody hears of the end, so the worker
//! waits for nobody to come. Without a black box it waits 10 s for a client.
//!
//! The worker opens nothing by path and writes only to its descriptors. It leads a session of its own, so that it
//! outlives whoever started it.

mod events;
mod message;
mod service;

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use flotilla_control::server::Limits;
use flotilla_control::{EventLog, Server};
use flotilla_spec::report::{MachineExit, MachineState};
use flotilla_vmm::{Machine, describe};
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};
use tracing::level_filters::LevelFilter;

use crate::exit::ExitStatus;
use crate::{jail, log, signals};
use message::Message;
use service::Worker;

const FIRST_CLIENT: Duration = Duration::from_secs(30);
const NEXT_CLIENT: Duration = Duration::from_secs(5);
const LAST_CLIENT: Duration = Duration::from_secs(10);
/// How long a guest may take to switch itself off after a signal.
const POWER_OFF: Duration = Duration::from_secs(30);
/// The longest wait for the answers to calls of the client. They come at once: the machine has stopped.
const LAST_CALLS: Duration = Duration::from_secs(10);
/// The longest wait for a reader of the console that does not read. It is shorter than the patience of who ends us.
const LAST_OUTPUT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(100);

/// Serves until the machine has stopped.
pub fn serve() -> ExitStatus {
    log::start(LevelFilter::INFO);
    // A leader of a session already has what it needs.
    let _ = rustix::process::setsid();
    if let Err(error) = jail::enter() {
        tracing::error!(error = %describe(&error), "worker cannot enter its jail");
        return ExitStatus::Internal;
    }
    match start() {
        Ok(served) => {
            let status = catch_unwind(AssertUnwindSafe(|| served.watch())).unwrap_or_else(|_| {
                served.worker.record_failure();
                ExitStatus::Internal
            });
            tracing::info!(status = status.number(), "worker ends");
            status
        }
        Err(error) => {
            tracing::error!(%error, "cannot serve: descriptor 0 must be a listening UNIX socket");
            ExitStatus::Usage
        }
    }
}

struct Served {
    server: Server,
    worker: Arc<Worker>,
    events: Arc<EventLog>,
    messages: Receiver<Message>,
}

fn start() -> io::Result<Served> {
    let listener = listener()?;
    let (sender, messages) = mpsc::channel();
    signals::listen(sender.clone(), true, |_| Message::Signal)?;
    let events = Arc::new(EventLog::new());
    let worker = Arc::new(Worker::new(Arc::clone(&events), sender));
    let service = Arc::clone(&worker);
    let server = Server::start(listener, service, Arc::clone(&events), Limits::default())?;
    Ok(Served { server, worker, events, messages })
}

fn listener() -> io::Result<UnixListener> {
    let descriptor = io::stdin().as_fd().try_clone_to_owned()?;
    if socket_domain(&descriptor)? != AddressFamily::UNIX || !socket_acceptconn(&descriptor)? {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let listener = UnixListener::from(descriptor);
    listener.set_nonblocking(false)?;
    Ok(listener)
}

impl Served {
    fn watch(&self) -> ExitStatus {
        let Some((machine, end)) = self.await_machine() else { return ExitStatus::NeverConfigured };
        let Some(exit) = end.or_else(|| self.await_end(&machine)) else {
            let _ = machine.stop();
            return ExitStatus::NeverConfigured;
        };
        tracing::info!(reason = ?exit.reason, "machine stopped");
        self.linger();
        ExitStatus::of(&exit)
    }

    /// Waits for a machine as long as there is hope for one. It may have ended by the time it is known.
    fn await_machine(&self) -> Option<(Machine, Option<MachineExit>)> {
        let mut deadline = Instant::now() + FIRST_CLIENT;
        let mut seen = 0;
        let mut end = None;
        while Instant::now() < deadline {
            match self.messages.recv_timeout(STEP) {
                Ok(Message::Configured(machine)) => return Some((machine, end)),
                Ok(Message::Stopped(exit)) => end = Some(exit),
                Ok(Message::Signal) => return None,
                // A client may have come and gone between two looks.
                Err(_) if self.server.has_client() || self.server.clients() > seen => {
                    seen = self.server.clients();
                    deadline = Instant::now() + NEXT_CLIENT;
                }
                Err(_) => {}
            }
        }
        None
    }

    /// Carries out signals until the machine has ended. `None`: it never ran, and nobody is left who knows of it.
    fn await_end(&self, machine: &Machine) -> Option<MachineExit> {
        let mut deadline: Option<Instant> = None;
        let mut hope = Some(Instant::now() + NEXT_CLIENT);
        loop {
            hope = hope.and_then(|hope| self.hope_for(machine, hope));
            if hope.is_some_and(|hope| Instant::now() > hope) {
                return None;
            }
            let longest = if hope.is_some() { STEP } else { Duration::from_hours(1) };
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            match self.messages.recv_timeout(left.min(longest)) {
                Ok(Message::Stopped(exit)) => return Some(exit),
                Ok(Message::Signal) if deadline.is_none() && machine.power_button().is_ok() => {
                    deadline = Some(Instant::now() + POWER_OFF);
                }
                Ok(Message::Configured(_)) => {}
                Err(RecvTimeoutError::Timeout)
                    if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
                Ok(Message::Signal) | Err(_) => {
                    // It ends either way; the exit follows as a message.
                    let _ = machine.stop();
                    deadline = None;
                }
            }
        }
    }

    /// Until when somebody may come to boot the machine; `None` once it has run.
    fn hope_for(&self, machine: &Machine, hope: Instant) -> Option<Instant> {
        if machine.info().state != MachineState::Configured {
            return None;
        }
        Some(if self.server.has_client() { Instant::now() + NEXT_CLIENT } else { hope })
    }

    /// Gives a client the end and the answers to its calls, and readers of the console its last output.
    fn linger(&self) {
        let expected = !self.worker.has_black_box();
        self.server.await_delivery(self.events.last(), LAST_CLIENT, expected);
        self.server.finish(LAST_CALLS);
        self.worker.finish_console(LAST_OUTPUT);
    }
}
