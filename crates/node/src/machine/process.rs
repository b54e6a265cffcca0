// SPDX-License-Identifier: Apache-2.0
//! A machine in a worker process, behind the control protocol.

use std::collections::BTreeMap;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flotilla_control::{Client, ClientError, ClientOptions, Event, Failure, Outlets};
use flotilla_host::run::{self, Isolation, Process, ProcessIdentity, RunDirectory, Spawned, Watcher};
use flotilla_host::{Cancel, HostError};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use flotilla_spec::{LimitsSpec, LinkState, ThrottleTarget, ValidSpec};
use flotilla_vmm::Resources;
use serde_json::{Map, Value};

use super::backend::{Backend, Verb};
use super::events::{EventSource, OnEvent, Pump, event};
use super::life::Life;
use super::options::{AdoptOptions, CreateOptions};
use crate::numbers::from_js;
use crate::workers::machine_id;

/// How long a worker may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(2);
/// How long a killed process may take to be gone: the kernel frees its memory first.
const KILLED: Duration = Duration::from_secs(30);
/// How long the client before us may take to be noticed gone.
const BUSY: Duration = Duration::from_secs(2);
const BUSY_STEP: Duration = Duration::from_millis(20);

/// One thread for the workers of this process, none while there are none.
static WATCHER: LazyLock<Watcher> = LazyLock::new(Watcher::new);

struct WorkerMachine {
    identity: ProcessIdentity,
    directory: RunDirectory,
    life: Arc<Life>,
    pump: Pump,
    /// Until the worker is let go or ended.
    held: Mutex<Option<Held>>,
}

/// What costs a descriptor.
struct Held {
    client: Arc<Client>,
    process: Process,
}

/// Starts a worker and has it build the machine. After an error, or when withdrawn, nothing of it is left.
pub fn create(
    options: &CreateOptions,
    cancel: &Cancel,
    listener: OnEvent,
) -> Result<Arc<dyn Backend>, Failure> {
    let id = machine_id(&options.id)?;
    let spec = options.valid_spec()?;
    let resources = Resources::open_within(&spec, &options.folders())?;
    cancel.check()?;
    let spawned =
        run::spawn(Path::new(&options.runtime_directory), &id, Path::new(&options.worker_path), cancel)?;
    let client = configure(&spawned, &id, &spec, resources, cancel)?;
    let (process, directory) = spawned.keep()?;
    let identity = process.identity();
    control(client, process, directory.clone(), listener).inspect_err(|_| abandon(identity, &directory))
}

/// Ends a worker that was made and cannot be controlled.
fn abandon(identity: ProcessIdentity, directory: &RunDirectory) {
    if let Some(process) = Process::find(identity) {
        process.kill();
        process.wait(KILLED);
        process.reap();
    }
    let _ = directory.discard(identity);
}

fn configure(
    spawned: &Spawned,
    id: &MachineId,
    spec: &ValidSpec,
    resources: Resources,
    cancel: &Cancel,
) -> Result<Client, Failure> {
    let text = serde_json::to_vec_pretty(&**spec).unwrap_or_default();
    spawned.directory.write("spec.json", &text)?;
    if spec.memory_options.lock {
        spawned.allow_locked_memory(spec.memory.bytes());
    }
    let stream =
        spawned.control.try_clone().map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))?;
    withdrawable(cancel, &spawned.control, || {
        let options = client_options(None);
        let timeout = options.timeout + commit_time(spec);
        let client = Client::from_stream(stream, &ClientOptions { timeout, ..options })?;
        let descriptors =
            resources.into_descriptors().map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))?;
        let (console, black_box) = (Some(spawned.console.as_fd()), Some(spawned.black_box.as_fd()));
        client.configure(id, spec, &descriptors, Outlets { console, black_box })?;
        Ok(client)
    })
    .map_err(|failure| with_log(failure, &spawned.directory))
}

/// How long the host may take to commit the memory of a machine before it starts: a thread clears more than 256 MiB in a second.
fn commit_time(spec: &ValidSpec) -> Duration {
    let options = &spec.memory_options;
    let committed = options.prefault || options.lock || options.backing.is_hugetlb();
    Duration::from_secs(if committed { spec.memory.bytes() >> 28 } else { 0 })
}

/// Takes control over the live worker of a machine.
pub fn adopt(
    options: &AdoptOptions,
    cancel: &Cancel,
    listener: OnEvent,
) -> Result<Arc<dyn Backend>, Failure> {
    let id = machine_id(&options.id)?;
    let directory = RunDirectory::of(Path::new(&options.runtime_directory), &id);
    let record = directory.record()?.filter(|record| record.isolation == Isolation::Process);
    let process = record.and_then(|record| record.process()).ok_or_else(|| {
        Failure::new(ErrorCode::WorkerGone, format!("Machine {id} has no live worker"))
            .with_remedy("Remove what is left of it, then create the machine again")
    })?;
    let events_after = options.events_after.map(from_js);
    let client = connect(&directory, events_after, cancel)?;
    if client.welcome().machine.as_ref() != Some(&id) {
        let message = format!("The worker in the run directory of {id} runs another machine");
        return Err(Failure::new(ErrorCode::WorkerProtocol, message));
    }
    control(client, process, directory, listener)
}

/// Connects, and waits a moment for a worker that has not yet noticed that its last client is gone.
fn connect(directory: &RunDirectory, events_after: Option<u64>, cancel: &Cancel) -> Result<Client, Failure> {
    let deadline = Instant::now() + BUSY;
    loop {
        let stream = run::connect(&directory.control_socket()).map_err(|error| match error {
            HostError::File { .. } => Failure::new(ErrorCode::WorkerGone, error.to_string()),
            other => other.into(),
        })?;
        let shut = stream.try_clone().map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))?;
        let connected =
            withdrawable(cancel, &shut, || Client::from_stream(stream, &client_options(events_after)));
        match connected {
            Err(failure) if failure.code == ErrorCode::WorkerBusy && Instant::now() < deadline => {
                thread::sleep(BUSY_STEP);
            }
            other => return other,
        }
    }
}

fn client_options(events_after: Option<u64>) -> ClientOptions {
    let name = format!("@flotilla/native in process {}", std::process::id());
    ClientOptions { name, events_after, ..ClientOptions::default() }
}

/// Talks to a worker; when the call is withdrawn meanwhile, the connection is shut and the error says so.
fn withdrawable<T>(
    cancel: &Cancel,
    stream: &UnixStream,
    talk: impl FnOnce() -> Result<T, ClientError>,
) -> Result<T, Failure> {
    let shut = stream.try_clone().map_err(|error| Failure::new(ErrorCode::Io, error.to_string()))?;
    let guard = cancel.on_cancel(move || drop(shut.shutdown(Shutdown::Both)));
    let said = talk();
    drop(guard);
    cancel.check()?;
    said.map_err(ClientError::into_failure)
}

/// Adds what a dead worker said last.
fn with_log(failure: Failure, directory: &RunDirectory) -> Failure {
    if failure.code != ErrorCode::WorkerGone {
        return failure;
    }
    let log = std::fs::read_to_string(directory.path().join("worker.log")).unwrap_or_default();
    match log.lines().last() {
        Some(last) => {
            Failure { message: format!("{}. Its log ends with: {last}", failure.message), ..failure }
        }
        None => failure,
    }
}

fn control(
    client: Client,
    process: Process,
    directory: RunDirectory,
    listener: OnEvent,
) -> Result<Arc<dyn Backend>, Failure> {
    let io = |error: std::io::Error| {
        Failure::new(ErrorCode::HostNoMemory, format!("Cannot watch the worker: {error}"))
    };
    let (client, life) = (Arc::new(client), Arc::new(Life::default()));
    let ended = Arc::clone(&life);
    WATCHER.watch(process.try_clone().map_err(io)?, move |exit| ended.end(exit)).map_err(io)?;
    let source = WorkerEvents { client: Arc::clone(&client), life: Arc::clone(&life), last: 0, ended: false };
    let pump = Pump::start(source, listener)?;
    let identity = process.identity();
    let held = Mutex::new(Some(Held { client, process }));
    Ok(Arc::new(WorkerMachine { identity, directory, life, pump, held }))
}

impl Backend for WorkerMachine {
    fn pid(&self) -> u32 {
        self.identity.pid
    }

    fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    fn perform(&self, verb: Verb) -> Result<(), Failure> {
        let client = self.client()?;
        let done = match verb {
            Verb::Boot => client.boot(),
            Verb::Pause => client.pause(),
            Verb::Resume => client.resume(),
            Verb::PowerButton => client.power_button(),
            Verb::Reset => client.reset(),
        };
        done.map_err(ClientError::into_failure)
    }

    fn set_throttle(&self, target: ThrottleTarget, limits: LimitsSpec) -> Result<(), Failure> {
        self.client()?.set_throttle(&target, limits).map_err(ClientError::into_failure)
    }

    fn set_link(&self, interface: &str, link: LinkState) -> Result<(), Failure> {
        self.client()?.set_link(interface, link).map_err(ClientError::into_failure)
    }

    fn announce(&self, interface: &str) -> Result<(), Failure> {
        self.client()?.announce(interface).map_err(ClientError::into_failure)
    }

    fn set_balloon(&self, target: u64) -> Result<(), Failure> {
        self.client()?.set_balloon(target).map_err(ClientError::into_failure)
    }

    fn balloon(&self) -> Result<Value, Failure> {
        let report = self.client()?.balloon().map_err(ClientError::into_failure)?;
        serde_json::to_value(report)
            .map_err(|error| Failure::new(ErrorCode::WorkerProtocol, error.to_string()))
    }

    fn reclaim_memory(&self) -> Result<Value, Failure> {
        let report = self.client()?.reclaim_memory().map_err(ClientError::into_failure)?;
        serde_json::to_value(report)
            .map_err(|error| Failure::new(ErrorCode::WorkerProtocol, error.to_string()))
    }

    fn info(&self) -> Result<Value, Failure> {
        let info = self.client()?.info().map_err(ClientError::into_failure)?;
        serde_json::to_value(info).map_err(|error| Failure::new(ErrorCode::WorkerProtocol, error.to_string()))
    }

    fn metrics(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let mut metrics = self.client()?.metrics().map_err(ClientError::into_failure)?;
        run::add_usage(&mut metrics, self.identity);
        Ok(metrics)
    }

    fn refresh_disk(&self, disk: &str) -> Result<u64, Failure> {
        self.client()?.refresh_disk(disk).map_err(ClientError::into_failure)
    }

    fn grow_disk(&self, disk: &str, size: u64) -> Result<u64, Failure> {
        self.client()?.grow_disk(disk, size).map_err(ClientError::into_failure)
    }

    fn end(&self) -> Result<(), Failure> {
        // Held throughout: a second call waits, and finds nothing left to do.
        let mut held = self.held();
        match held.take() {
            Some(held) => self.end_held(&held),
            None => end_process(self.identity),
        }
        if Process::find(self.identity).is_some() {
            let message = format!("Worker {} does not end, not even by SIGKILL", self.identity.pid);
            let failure = Failure::new(ErrorCode::Io, message);
            return Err(failure.with_remedy("Look at its state in /proc, and into the kernel log"));
        }
        Ok(())
    }

    fn kill(&self) -> Result<(), Failure> {
        self.end()?;
        Ok(self.directory.discard(self.identity)?)
    }

    fn close(&self) -> Result<(), Failure> {
        self.life.close();
        if let Some(held) = self.held().take() {
            held.client.close();
        }
        self.pump.join();
        Ok(())
    }
}

impl WorkerMachine {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Result<Arc<Client>, Failure> {
        if let Some(held) = &*self.held() {
            return Ok(Arc::clone(&held.client));
        }
        if self.life.is_closed() {
            return Err(Failure::new(ErrorCode::MachineState, "This handle of the machine is closed")
                .with_remedy("Adopt the machine again"));
        }
        Err(Failure::new(ErrorCode::WorkerGone, "The machine was killed")
            .with_remedy("Create the machine again"))
    }

    /// Ends the worker: by asking, and by force when it does not end in time. Then its last events are out.
    fn end_held(&self, held: &Held) {
        // A worker that hangs answers nothing, so it is asked on the side.
        let client = Arc::clone(&held.client);
        let asking =
            thread::Builder::new().name("machine-kill".to_owned()).spawn(move || drop(client.stop()));
        if asking.is_err() || !self.life.wait_end(GRACE) {
            held.process.kill();
            self.life.wait_end(KILLED);
        }
        // The connection of a dead worker ends by itself, after the last event was read from it.
        if self.life.has_ended() {
            self.pump.join();
        } else {
            held.client.close();
        }
        if let Ok(asking) = asking {
            let _ = asking.join();
        }
    }
}

/// Ends a process that nobody here holds any more; whoever watches it reaps it.
fn end_process(identity: ProcessIdentity) {
    let Some(process) = Process::find(identity) else { return };
    process.kill();
    process.wait(KILLED);
    // The watcher reaps it at the same moment; give it that moment, so that no zombie is seen afterwards.
    let deadline = Instant::now() + GRACE;
    while Path::new(&format!("/proc/{}", identity.pid)).exists() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
}

impl Drop for WorkerMachine {
    fn drop(&mut self) {
        self.life.close();
        if let Some(held) = self.held().take() {
            held.client.close();
        }
    }
}

/// What the worker tells, and at the end that it has ended.
struct WorkerEvents {
    client: Arc<Client>,
    life: Arc<Life>,
    last: u64,
    ended: bool,
}

impl EventSource for WorkerEvents {
    fn next(&mut self) -> Option<Vec<Event>> {
        while !self.ended {
            match self.client.next_event(Duration::from_mins(1)) {
                Ok(Some(event)) => {
                    self.last = event.seq;
                    return Some(vec![event]);
                }
                Ok(None) if self.life.is_closed() => return None,
                Ok(None) => {}
                // The kernel closes the connection of a dead worker, so this comes at once; its exit right after.
                Err(_) => {
                    self.ended = true;
                    let exit = self.life.await_exit()?;
                    let mut fields = Map::from_iter([("kind".to_owned(), "worker-exited".into())]);
                    fields.extend(exit.status.map(|status| ("exitStatus".to_owned(), status.into())));
                    fields.extend(exit.signal.map(|signal| ("signal".to_owned(), signal.into())));
                    return Some(vec![event(self.last + 1, Value::Object(fields))]);
                }
            }
        }
        None
    }

    fn is_closed(&self) -> bool {
        self.life.is_closed()
    }
}
