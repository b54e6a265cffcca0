// SPDX-License-Identifier: Apache-2.0
//! A machine in this process. It has the same run directory and console socket as one in a worker.

use std::collections::BTreeMap;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flotilla_control::console::ConsoleServer;
use flotilla_control::{BlackBox, Event, EventLog, Failure};
use flotilla_front::{MachineConsole, Recorder, ToBlackBox, build_failure, machine_failure};
use flotilla_host::Cancel;
use flotilla_host::run::{self, Isolation, Process, RunDirectory, WorkerRecord};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{LimitsSpec, LinkState, ThrottleTarget, ValidSpec};
use flotilla_vmm::{Console, Machine, MachineOptions, Resources, describe};
use serde_json::Value;

use super::backend::{Backend, Verb};
use super::events::{EventSource, OnEvent, Pump};
use super::life::Life;
use super::options::CreateOptions;
use crate::workers::machine_id;

/// The longest wait for a reader of the console that does not read.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

struct LocalMachine {
    machine: Machine,
    scratch: Scratch,
    console: Mutex<Option<ConsoleServer>>,
    black_box: Arc<BlackBox>,
    log: Arc<EventLog>,
    life: Arc<Life>,
    pump: Pump,
}

/// Builds a machine. After an error, or when withdrawn, nothing of it is left.
pub fn create(
    options: &CreateOptions,
    cancel: &Cancel,
    listener: OnEvent,
) -> Result<Arc<dyn Backend>, Failure> {
    let id = machine_id(&options.id)?;
    let spec = options.valid_spec()?;
    let resources = Resources::open_within(&spec, &options.folders())?;
    cancel.check()?;
    let scratch = Scratch::create(RunDirectory::of(Path::new(&options.runtime_directory), &id))?;
    let listening = scratch.fill(id.as_str(), &spec)?;
    let black_box = Arc::new(start_black_box(&scratch.directory)?);
    let (log, life) = (Arc::new(EventLog::new()), Arc::new(Life::default()));
    let (taker, hook) = crate::provoke::prepare(Arc::new(ToBlackBox(Arc::clone(&black_box))));
    let output = Console::logged(taker);
    let recorder = Arc::new(Recorder { log: Arc::clone(&log), black_box: Some(Arc::clone(&black_box)) });
    let options =
        MachineOptions { on_thread_start: hook, ..MachineOptions::new(recorder, Arc::clone(&output)) };
    let machine = Machine::build(spec, resources, options).map_err(|error| build_failure(&error))?;
    cancel.check()?;
    let console =
        ConsoleServer::start(listening, Arc::new(MachineConsole(output)), flotilla_front::ports(&machine))
            .map_err(|error| Failure::new(ErrorCode::Io, format!("Cannot serve the console: {error}")))?;
    let source = LocalEvents { log: Arc::clone(&log), life: Arc::clone(&life), last: 0, ended: false };
    let pump = Pump::start(source, listener)?;
    let console = Mutex::new(Some(console));
    Ok(Arc::new(LocalMachine { machine, scratch, console, black_box, log, life, pump }))
}

fn start_black_box(directory: &RunDirectory) -> Result<BlackBox, Failure> {
    let file = directory.create_black_box()?;
    BlackBox::start(file).map_err(|error| Failure::new(ErrorCode::Io, describe(&error)))
}

/// A run directory that goes with the machine, once: the same id may have another machine afterwards.
struct Scratch {
    directory: RunDirectory,
    /// This process, until the directory is removed.
    owner: Mutex<Option<Process>>,
}

impl Scratch {
    fn create(directory: RunDirectory) -> Result<Self, Failure> {
        let ours = Process::open(std::process::id());
        let ours = ours.ok_or_else(|| Failure::new(ErrorCode::Io, "Cannot find this process in /proc"))?;
        directory.create()?;
        Ok(Self { directory, owner: Mutex::new(Some(ours)) })
    }

    fn fill(&self, id: &str, spec: &ValidSpec) -> Result<UnixListener, Failure> {
        let text = serde_json::to_vec_pretty(&**spec).unwrap_or_default();
        self.directory.write("spec.json", &text)?;
        if let Some(ours) = &*self.owner.lock().unwrap_or_else(PoisonError::into_inner) {
            self.directory.write_record(&WorkerRecord::new(id, ours, Isolation::InProcess))?;
        }
        Ok(self.directory.listen("console.sock")?)
    }

    fn remove(&self) -> Result<(), Failure> {
        match self.owner.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(ours) => Ok(self.directory.discard(ours.identity())?),
            None => Ok(()),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.remove();
    }
}

impl Backend for LocalMachine {
    fn pid(&self) -> u32 {
        std::process::id()
    }

    fn directory(&self) -> &RunDirectory {
        &self.scratch.directory
    }

    fn perform(&self, verb: Verb) -> Result<(), Failure> {
        self.refuse_closed()?;
        let done = match verb {
            Verb::Boot => self.machine.boot(),
            Verb::Pause => self.machine.pause(),
            Verb::Resume => self.machine.resume(),
            Verb::PowerButton => self.machine.power_button(),
            Verb::Reset => self.machine.reset(),
        };
        done.map_err(|error| machine_failure(&error))
    }

    fn set_link(&self, interface: &str, link: LinkState) -> Result<(), Failure> {
        self.refuse_closed()?;
        self.machine.set_link(interface, link.is_up()).map_err(|error| machine_failure(&error))
    }

    fn announce(&self, interface: &str) -> Result<(), Failure> {
        self.refuse_closed()?;
        self.machine.announce(interface).map_err(|error| machine_failure(&error))
    }

    fn set_throttle(&self, target: ThrottleTarget, limits: LimitsSpec) -> Result<(), Failure> {
        self.refuse_closed()?;
        self.machine.set_throttle(target, limits).map_err(|error| machine_failure(&error))
    }

    fn set_balloon(&self, target: u64) -> Result<(), Failure> {
        self.refuse_closed()?;
        self.machine.set_balloon(target).map_err(|error| machine_failure(&error))
    }

    fn balloon(&self) -> Result<Value, Failure> {
        self.refuse_closed()?;
        let report = self.machine.balloon().map_err(|error| machine_failure(&error))?;
        serde_json::to_value(report).map_err(|error| Failure::new(ErrorCode::CorePanic, error.to_string()))
    }

    fn reclaim_memory(&self) -> Result<Value, Failure> {
        self.refuse_closed()?;
        let report = self.machine.reclaim_memory().map_err(|error| machine_failure(&error))?;
        serde_json::to_value(report).map_err(|error| Failure::new(ErrorCode::CorePanic, error.to_string()))
    }

    fn info(&self) -> Result<Value, Failure> {
        self.refuse_closed()?;
        serde_json::to_value(flotilla_front::info(&self.machine))
            .map_err(|error| Failure::new(ErrorCode::CorePanic, error.to_string()))
    }

    fn metrics(&self) -> Result<BTreeMap<String, u64>, Failure> {
        self.refuse_closed()?;
        let mut metrics = self.machine.metrics();
        if let Some(ours) = Process::open(std::process::id()) {
            run::add_usage(&mut metrics, ours.identity());
        }
        Ok(metrics)
    }

    fn refresh_disk(&self, disk: &str) -> Result<u64, Failure> {
        self.refuse_closed()?;
        self.machine.refresh_disk(disk).map_err(|error| machine_failure(&error))
    }

    fn grow_disk(&self, disk: &str, size: u64) -> Result<u64, Failure> {
        self.refuse_closed()?;
        self.machine.grow_disk(disk, size).map_err(|error| machine_failure(&error))
    }

    fn end(&self) -> Result<(), Failure> {
        let stopped = self.machine.stop();
        if let Some(console) = self.console.lock().unwrap_or_else(PoisonError::into_inner).take() {
            console.finish(LAST_OUTPUT);
        }
        self.black_box.close();
        self.life.end(flotilla_host::run::WorkerExit::default());
        self.log.wake();
        self.pump.join();
        stopped.map_err(|error| machine_failure(&error))
    }

    fn kill(&self) -> Result<(), Failure> {
        let ended = self.end();
        self.scratch.remove()?;
        ended
    }

    fn close(&self) -> Result<(), Failure> {
        // Closed first: a listener that is gone shall not hold the pump up.
        self.life.close();
        self.kill()
    }
}

impl LocalMachine {
    fn refuse_closed(&self) -> Result<(), Failure> {
        if self.life.is_closed() {
            return Err(Failure::new(ErrorCode::MachineState, "This machine is closed")
                .with_remedy("Create it again"));
        }
        Ok(())
    }
}

impl Drop for LocalMachine {
    fn drop(&mut self) {
        self.life.close();
        self.log.wake();
    }
}

/// The events of the machine up to `stopped`.
struct LocalEvents {
    log: Arc<EventLog>,
    life: Arc<Life>,
    last: u64,
    ended: bool,
}

impl EventSource for LocalEvents {
    fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let over = self.ended || self.life.is_closed() || self.life.has_ended();
            let wait = if over { Duration::ZERO } else { Duration::from_secs(1) };
            let events = self.log.after(self.last, wait);
            if self.ended || (events.is_empty() && over) {
                return None;
            }
            if let Some(newest) = events.last() {
                self.last = newest.seq;
                self.ended = newest.kind() == "stopped";
                return Some(events);
            }
        }
    }

    fn is_closed(&self) -> bool {
        self.life.is_closed()
    }
}
