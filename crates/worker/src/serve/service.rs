// SPDX-License-Identifier: Apache-2.0
//! What the worker does when it is called.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_control::console::ConsoleServer;
use flotilla_control::message::{
    Announce, Call, Configure, GrowDisk, RefreshDisk, SetBalloon, SetLink, SetThrottle,
};
use flotilla_control::{BlackBox, EventLog, Failure, Service};
use flotilla_front::{MachineConsole, Recorder, ToBlackBox, build_failure, machine_failure};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use flotilla_spec::report::{ExitReason, MachineExit};
use flotilla_vmm::{Console, Machine, MachineError, MachineOptions, Resources};
use rustix::net::sockopt::socket_acceptconn;
use serde_json::{Value, json};

use super::events::Teller;
use super::message::Message;
use crate::{host, jail};

/// The worker's one machine and who is told about it.
pub struct Worker {
    events: Arc<EventLog>,
    main: Mutex<Sender<Message>>,
    held: Mutex<Option<Held>>,
}

struct Held {
    id: MachineId,
    machine: Machine,
    console: Option<ConsoleServer>,
    black_box: Option<Arc<BlackBox>>,
}

impl Worker {
    /// A worker without a machine; `main` is told when there is one.
    pub fn new(events: Arc<EventLog>, main: Sender<Message>) -> Self {
        Self { events, main: Mutex::new(main), held: Mutex::new(None) }
    }

    /// Whether what a client would come for can be read without this process.
    pub fn has_black_box(&self) -> bool {
        lock(&self.held).as_ref().is_some_and(|held| held.black_box.is_some())
    }

    /// Leaves word that the worker itself failed.
    pub fn record_failure(&self) {
        let held = lock(&self.held);
        let Some(black_box) = held.as_ref().and_then(|held| held.black_box.as_ref()) else { return };
        let message = Some("The worker failed inside; its log has the place".to_owned());
        let code = Some(ErrorCode::CorePanic);
        black_box.record_exit(&MachineExit { reason: ExitReason::Error, code, message, registers: None });
    }

    /// Gives readers of the console its last output, waiting up to `limit` for those that are slow.
    pub fn finish_console(&self, limit: Duration) {
        if let Some(console) = lock(&self.held).as_ref().and_then(|held| held.console.as_ref()) {
            console.finish(limit);
        }
    }

    fn configure(&self, configure: Configure, mut descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        let mut held = lock(&self.held);
        if held.is_some() {
            return Err(Failure::new(ErrorCode::MachineState, "Worker already has a machine")
                .with_remedy("Start another worker: each runs one machine"));
        }
        let black_box =
            if configure.black_box { Some(Arc::new(black_box(descriptors.pop())?)) } else { None };
        let listener = if configure.console { Some(console_listener(descriptors.pop())?) } else { None };
        let count = u32::try_from(descriptors.len()).unwrap_or(u32::MAX);
        configure.spec.check_descriptors(count).map_err(Failure::invalid_spec)?;
        let spec = configure.spec.validate(&host::limits()).map_err(Failure::invalid_spec)?;
        let resources = Resources::from_descriptors(&spec, descriptors)?;
        let log = |black_box: &Arc<BlackBox>| Console::logged(Arc::new(ToBlackBox(Arc::clone(black_box))));
        let console = black_box.as_ref().map_or_else(Console::new, log);
        let (log, end) = (Arc::clone(&self.events), lock(&self.main).clone());
        let recorder = Recorder { log, black_box: black_box.clone() };
        let mut options = MachineOptions::new(Arc::new(Teller { recorder, end }), Arc::clone(&console));
        options.on_thread_start = Some(jail::thread_hook());
        let machine = Machine::build(spec, resources, options).map_err(|error| build_failure(&error))?;
        let endpoint = Arc::new(MachineConsole(console));
        let ports = flotilla_front::ports(&machine);
        let console = listener.map(|listener| ConsoleServer::start(listener, endpoint, ports)).transpose();
        let console = console
            .map_err(|error| Failure::new(ErrorCode::Io, format!("Cannot serve the console: {error}")))?;
        let _ = lock(&self.main).send(Message::Configured(machine.clone()));
        tracing::info!(machine = %configure.id, "machine is built");
        *held = Some(Held { id: configure.id, machine, console, black_box });
        Ok(Value::Null)
    }

    fn with_machine<T>(&self, act: impl FnOnce(&Machine) -> Result<T, MachineError>) -> Result<T, Failure> {
        let machine = lock(&self.held).as_ref().map(|held| held.machine.clone());
        let machine = machine.ok_or_else(|| {
            Failure::new(ErrorCode::MachineState, "Worker has no machine yet")
                .with_remedy("Call configure first")
        })?;
        act(&machine).map_err(|error| machine_failure(&error))
    }

    fn info(&self) -> Result<Value, Failure> {
        let info = self.with_machine(|machine| Ok(flotilla_front::info(machine)))?;
        serde_json::to_value(info).map_err(|error| Failure::new(ErrorCode::CorePanic, error.to_string()))
    }

    fn carry_out(&self, call: Call, descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        let done = match call {
            Call::Configure(configure) => return self.configure(*configure, descriptors),
            Call::Info => return self.info(),
            Call::Metrics => return self.with_machine(|machine| Ok(json!(machine.metrics()))),
            Call::RefreshDisk(RefreshDisk { disk }) => {
                let size = self.with_machine(|machine| machine.refresh_disk(disk.as_str()))?;
                return Ok(json!(size));
            }
            Call::GrowDisk(GrowDisk { disk, size }) => {
                let size = self.with_machine(|machine| machine.grow_disk(disk.as_str(), size))?;
                return Ok(json!(size));
            }
            Call::SetLink(SetLink { interface, link }) => {
                self.with_machine(|machine| machine.set_link(&interface, link.is_up()))
            }
            Call::Announce(Announce { interface }) => {
                self.with_machine(|machine| machine.announce(&interface))
            }
            Call::SetThrottle(SetThrottle { target, limits }) => {
                self.with_machine(|machine| machine.set_throttle(target, limits))
            }
            Call::SetBalloon(SetBalloon { target }) => {
                self.with_machine(|machine| machine.set_balloon(target))
            }
            Call::ReclaimMemory => return self.with_machine(|machine| Ok(json!(machine.reclaim_memory()?))),
            Call::Balloon => return self.with_machine(|machine| Ok(json!(machine.balloon()?))),
            Call::Boot => self.with_machine(Machine::boot),
            Call::Pause => self.with_machine(Machine::pause),
            Call::Resume => self.with_machine(Machine::resume),
            Call::PowerButton => self.with_machine(Machine::power_button),
            Call::Reset => self.with_machine(Machine::reset),
            Call::Stop => self.with_machine(Machine::stop),
        };
        done.map(|()| Value::Null)
    }
}

impl Service for Worker {
    fn machine(&self) -> Option<MachineId> {
        lock(&self.held).as_ref().map(|held| held.id.clone())
    }

    fn call(&self, call: Call, descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        catch_unwind(AssertUnwindSafe(|| self.carry_out(call, descriptors))).unwrap_or_else(|_| {
            Err(Failure::new(ErrorCode::CorePanic, "The worker failed inside; its log has the place"))
        })
    }
}

fn black_box(descriptor: Option<OwnedFd>) -> Result<BlackBox, Failure> {
    let refused = |message: String| Failure::new(ErrorCode::SpecDescriptorInvalid, message).at("$");
    let descriptor = descriptor.ok_or_else(|| refused("No black box came along".to_owned()))?;
    BlackBox::start(descriptor.into()).map_err(|error| refused(flotilla_vmm::describe(&error)))
}

fn console_listener(descriptor: Option<OwnedFd>) -> Result<UnixListener, Failure> {
    let listening = descriptor.filter(|descriptor| socket_acceptconn(descriptor).unwrap_or(false));
    let listener =
        listening.map(UnixListener::from).filter(|listener| listener.set_nonblocking(false).is_ok());
    listener.ok_or_else(|| {
        Failure::new(
            ErrorCode::SpecDescriptorInvalid,
            "The last descriptor is no listening socket for the console",
        )
        .at("$")
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
