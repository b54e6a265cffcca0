// SPDX-License-Identifier: Apache-2.0
//! `flotilla-vmm serve`: a machine for a client.
//!
//! ```text
//!   start ──▶ waiting for a client and its configure ──▶ machine built ──▶ … ──▶ machine stopped ──▶ exit
//!                 │ 30 s without a client, or                                  once the client has the last event and
//!                 ▼ 5 s after it left                                          its answers, or after 10 s without a client
//!           exit, status 14
//! ```
//!
//! The worker opens nothing by path and writes only to its descriptors. It leads a session of its own, so that it
//! outlives whoever started it.

mod failure;
mod service;

pub use failure::{build_failure, machine_failure};

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use flotilla_control::server::Limits;
use flotilla_control::{EventLog, Server};
use flotilla_vmm::{Machine, describe};
use rustix::net::AddressFamily;
use rustix::net::sockopt::{socket_acceptconn, socket_domain};
use tracing::level_filters::LevelFilter;

use crate::exit::ExitStatus;
use crate::{events, jail, log, signals};
use service::Worker;

const FIRST_CLIENT: Duration = Duration::from_secs(30);
const NEXT_CLIENT: Duration = Duration::from_secs(5);
const LAST_CLIENT: Duration = Duration::from_secs(10);
/// How long a guest may take to switch itself off after a signal.
const POWER_OFF: Duration = Duration::from_secs(30);
/// How long a client that has the last event may still get the answers to its calls.
const LAST_CALLS: Duration = Duration::from_millis(200);
const LAST_OUTPUT: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(100);

/// What the main thread is told.
pub(crate) enum Message {
    Configured(Machine),
    Signal,
}

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
            let status = served.watch();
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
        let Some(machine) = self.await_machine() else { return ExitStatus::NeverConfigured };
        let mut deadline = None;
        let exit = loop {
            if let Some(exit) = machine.wait(Some(STEP)) {
                break events::exit(&exit);
            }
            let asked = self.messages.try_iter().any(|message| matches!(message, Message::Signal));
            if asked && deadline.is_none() && machine.power_button().is_ok() {
                deadline = Some(Instant::now() + POWER_OFF);
            } else if asked || deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                // It ends either way, and the exit says how.
                let _ = machine.stop();
            }
        };
        tracing::info!(reason = ?exit.reason, "machine stopped");
        self.linger();
        ExitStatus::of(&exit)
    }

    /// Waits for a machine as long as there is hope for one.
    fn await_machine(&self) -> Option<Machine> {
        let mut deadline = Instant::now() + FIRST_CLIENT;
        let mut seen = 0;
        while Instant::now() < deadline {
            match self.messages.recv_timeout(STEP) {
                Ok(Message::Configured(machine)) => return Some(machine),
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

    /// Gives a client time to learn the end, and readers of the console its last output.
    fn linger(&self) {
        let last = self.events.last();
        wait_until(LAST_CLIENT, || self.server.delivered(last));
        wait_until(LAST_CALLS, || !self.server.has_client());
        wait_until(LAST_OUTPUT, || self.worker.console_is_idle());
    }
}

fn wait_until(limit: Duration, done: impl Fn() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() && Instant::now() < deadline {
        thread::sleep(STEP / 4);
    }
}
