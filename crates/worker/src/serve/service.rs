// SPDX-License-Identifier: Apache-2.0
//! What the worker does when it is called.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_control::console::ConsoleServer;
use flotilla_control::message::{Call, Configure};
use flotilla_control::{BUILD, EventLog, Failure, PROTOCOL, Service};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use flotilla_spec::report::MachineInfo;
use flotilla_vmm::{Console, Machine, MachineError, MachineOptions, Resources};
use rustix::net::sockopt::socket_acceptconn;
use serde_json::{Value, json};

use super::Message;
use super::failure::{build_failure, machine_failure};
use crate::console::MachineConsole;
use crate::events::{self, Recorder};
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
}

impl Worker {
    /// A worker without a machine; `main` is told when there is one.
    pub fn new(events: Arc<EventLog>, main: Sender<Message>) -> Self {
        Self { events, main: Mutex::new(main), held: Mutex::new(None) }
    }

    /// Whether nobody is connected to the console.
    pub fn console_is_idle(&self) -> bool {
        lock(&self.held).as_ref().and_then(|held| held.console.as_ref()).is_none_or(ConsoleServer::is_idle)
    }

    fn configure(&self, configure: Configure, mut descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        let mut held = lock(&self.held);
        if held.is_some() {
            return Err(Failure::new(ErrorCode::MachineState, "Worker already has a machine")
                .with_remedy("Start another worker: each runs one machine"));
        }
        let listener = if configure.console { Some(console_listener(descriptors.pop())?) } else { None };
        let count = u32::try_from(descriptors.len()).unwrap_or(u32::MAX);
        configure.spec.check_descriptors(count).map_err(Failure::invalid_spec)?;
        let spec = configure.spec.validate(&host::limits()).map_err(Failure::invalid_spec)?;
        let resources = Resources::from_descriptors(&spec, descriptors)?;
        let console = Console::new();
        let recorder = Arc::new(Recorder(Arc::clone(&self.events)));
        let mut options = MachineOptions::new(recorder, Arc::clone(&console));
        options.on_thread_start = Some(jail::thread_hook());
        let machine = Machine::build(spec, resources, options).map_err(|error| build_failure(&error))?;
        let endpoint = Arc::new(MachineConsole(console));
        let console = listener.map(|listener| ConsoleServer::start(listener, endpoint)).transpose();
        let console = console
            .map_err(|error| Failure::new(ErrorCode::Io, format!("Cannot serve the console: {error}")))?;
        let _ = lock(&self.main).send(Message::Configured(machine.clone()));
        tracing::info!(machine = %configure.id, "machine is built");
        *held = Some(Held { id: configure.id, machine, console });
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
        let info = self.with_machine(|machine| Ok(machine.info()))?;
        let info = MachineInfo {
            state: events::state(info.state),
            pid: std::process::id(),
            uptime_ms: info.uptime_ms,
            vcpus: info.vcpus,
            build: BUILD.to_owned(),
            protocol: PROTOCOL,
            exit: info.exit.as_ref().map(events::exit),
        };
        serde_json::to_value(info).map_err(|error| Failure::new(ErrorCode::CorePanic, error.to_string()))
    }

    fn carry_out(&self, call: Call, descriptors: Vec<OwnedFd>) -> Result<Value, Failure> {
        let done = match call {
            Call::Configure(configure) => return self.configure(*configure, descriptors),
            Call::Info => return self.info(),
            Call::Metrics => return self.with_machine(|machine| Ok(json!(machine.metrics()))),
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
