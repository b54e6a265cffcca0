// SPDX-License-Identifier: Apache-2.0
//! The handle of a machine.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_device_model::threads::named;
use flotilla_spec::report::{
    BalloonReport, ExitReason, MachineEvent, MachineExit, MachineState, ReclaimReport,
};
use flotilla_spec::{LimitsSpec, ThrottleTarget, ValidSpec};

use crate::balloon;
use crate::builder;
use crate::command::{Answer, Command, Request};
use crate::console::Console;
use crate::driver::{Driver, Policies, answer_stopped};
use crate::error::{BuildError, MachineError};
use crate::events::MachineEvents;
use crate::inbox::Inbox;
use crate::options::MachineOptions;
use crate::parts::Parts;
use crate::patience::Patience;
use crate::resources::Resources;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::state::Verb;
use crate::vcpu::thread::{VcpuHandle, VcpuStopper};

/// A machine at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineInfo {
    /// Its state.
    pub state: MachineState,
    /// Milliseconds since the guest was first started.
    pub uptime_ms: u64,
    /// Number of vCPUs.
    pub vcpus: u32,
    /// How it ended, if it has.
    pub exit: Option<MachineExit>,
}

/// A machine. Clones are handles of the same one; it ends with the last of them.
#[derive(Clone)]
pub struct Machine {
    handle: Arc<Handle>,
}

struct Handle {
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    events: Arc<dyn MachineEvents>,
    console: Arc<Console>,
    consoles: BTreeMap<String, Arc<Console>>,
    vcpus: Vec<Weak<VcpuStopper>>,
    patience: Patience,
    #[cfg(test)]
    memory: Arc<flotilla_memory::GuestMemory>,
    driver: Mutex<Option<JoinHandle<()>>>,
}

impl Machine {
    /// Builds a machine in state `Configured`. After an error nothing is left behind.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a specification is used up by the machine built from it"
    )]
    pub fn build(spec: ValidSpec, resources: Resources, options: MachineOptions) -> Result<Self, BuildError> {
        let inbox = Arc::new(Inbox::default());
        let parts = builder::build(&spec, resources, &options, &inbox)?;
        Self::drive(parts, Policies::of(&spec), inbox, options)
    }

    /// Starts the thread that drives these parts.
    pub(crate) fn drive(
        parts: Parts,
        policies: Policies,
        inbox: Arc<Inbox>,
        options: MachineOptions,
    ) -> Result<Self, BuildError> {
        let MachineOptions { events, console, patience, .. } = options;
        let shared = Arc::new(Shared::default());
        let consoles = parts.consoles.clone();
        let vcpus = parts.vcpus.iter().map(VcpuHandle::stopper).collect();
        #[cfg(test)]
        let memory = Arc::clone(&parts.memory);
        let driver =
            Driver::new(parts, policies, Arc::clone(&inbox), Arc::clone(&shared), Arc::clone(&events));
        let thread = named("machine").spawn(move || driver.run());
        let thread = thread.map_err(|source| BuildError::Host { step: "start the driver thread", source })?;
        let driver = Mutex::new(Some(thread));
        let handle = Handle {
            inbox,
            shared,
            events,
            console,
            consoles,
            vcpus,
            patience,
            #[cfg(test)]
            memory,
            driver,
        };
        Ok(Self { handle: Arc::new(handle) })
    }

    /// Starts the guest.
    pub fn boot(&self) -> Result<(), MachineError> {
        self.perform(Verb::Boot)
    }

    /// Stops vCPUs and devices; returns when every one has acknowledged. Nothing on a paused machine. When a vCPU
    /// hangs in a device the machine runs on.
    pub fn pause(&self) -> Result<(), MachineError> {
        self.perform(Verb::Pause)
    }

    /// Goes on after a pause. Nothing on a running machine.
    pub fn resume(&self) -> Result<(), MachineError> {
        self.perform(Verb::Resume)
    }

    /// Presses the ACPI power button. What follows is up to the guest.
    pub fn power_button(&self) -> Result<(), MachineError> {
        self.perform(Verb::PowerButton)
    }

    /// Restarts the guest as after power-on, in the same process. A paused machine stays paused.
    pub fn reset(&self) -> Result<(), MachineError> {
        self.perform(Verb::Reset)
    }

    /// Ends the machine; returns when its threads, descriptors and memory are gone. Nothing on a stopped machine.
    /// Never waits for long: what hangs is left behind after [`Patience::end`], and the exit's message says so.
    pub fn stop(&self) -> Result<(), MachineError> {
        let stopped = match self.perform(Verb::Stop) {
            Err(MachineError::NoAnswer) => Ok(()),
            answered => answered,
        };
        self.handle.end();
        stopped
    }

    /// The state of a paused machine but for its memory.
    pub fn save(&self) -> Result<Snapshot, MachineError> {
        match self.request(Request::Do(Verb::Save))? {
            Answer::Saved(snapshot) => Ok(*snapshot),
            Answer::Done | Answer::Metrics(_) | Answer::DiskSize(_) | Answer::Balloon { .. } => {
                Err(MachineError::DriverGone)
            }
        }
    }

    /// Takes over a saved state on a machine that has not booted; it is paused afterwards.
    pub fn restore(&self, snapshot: Snapshot) -> Result<(), MachineError> {
        self.request(Request::Restore(Box::new(snapshot))).map(drop)
    }

    /// Looks how large the disk of this id is now, after somebody made its file or device larger, and tells the guest.
    /// Returns the size in bytes. A disk that has become smaller is refused.
    pub fn refresh_disk(&self, disk: &str) -> Result<u64, MachineError> {
        self.resize_disk(disk, None)
    }

    /// Makes the disk of this id larger and tells the guest. Only for a disk whose image keeps its size itself (qcow2); one
    /// that is as large or larger stays as it is. Returns the size in bytes.
    pub fn grow_disk(&self, disk: &str, size: u64) -> Result<u64, MachineError> {
        self.resize_disk(disk, Some(size))
    }

    fn resize_disk(&self, disk: &str, size: Option<u64>) -> Result<u64, MachineError> {
        match self.request(Request::RefreshDisk { disk: disk.to_owned(), size })? {
            Answer::DiskSize(size) => Ok(size),
            Answer::Done | Answer::Metrics(_) | Answer::Saved(_) | Answer::Balloon { .. } => {
                Err(MachineError::DriverGone)
            }
        }
    }

    /// Plugs the cable of the interface with this id in, or pulls it out. Its guest hears of it at once, or when it runs.
    pub fn set_link(&self, interface: &str, up: bool) -> Result<(), MachineError> {
        self.request(Request::SetLink { interface: interface.to_owned(), up }).map(drop)
    }

    /// Asks the guest to tell the network of the interface with this id where it is: once it runs, and as its driver does.
    pub fn announce(&self, interface: &str) -> Result<(), MachineError> {
        self.request(Request::Announce(interface.to_owned())).map(drop)
    }

    /// Changes what a disk, an interface, the entropy device or a group of them may do: all limits at once; those that are
    /// absent end. It holds from the next request on.
    pub fn set_throttle(&self, target: ThrottleTarget, limits: LimitsSpec) -> Result<(), MachineError> {
        self.request(Request::SetThrottle { target, limits }).map(drop)
    }

    /// Sets the bytes that the guest shall give up: whole pages of 4096, and all but 16 MiB of the memory at most. What follows is
    /// up to the guest.
    pub fn set_balloon(&self, target: u64) -> Result<(), MachineError> {
        self.request(Request::SetBalloon(target)).map(drop)
    }

    /// The balloon at this moment. A guest that runs is asked for new statistics, which takes a second at most.
    pub fn balloon(&self) -> Result<BalloonReport, MachineError> {
        match self.request(Request::Balloon)? {
            // The guest is waited for here, where it keeps nobody else waiting.
            Answer::Balloon { device, running } => Ok(balloon::report(&device, running)),
            Answer::Done | Answer::Metrics(_) | Answer::Saved(_) | Answer::DiskSize(_) => {
                Err(MachineError::DriverGone)
            }
        }
    }

    /// Asks the guest for all that nothing in it uses and gives it back to the host, for 4 seconds at most. Afterwards the guest
    /// may have the memory again, which it finds empty.
    pub fn reclaim_memory(&self) -> Result<ReclaimReport, MachineError> {
        match self.request(Request::Balloon)? {
            Answer::Balloon { running: false, .. } => Err(MachineError::GuestStopped),
            // As for statistics: nobody else waits for this guest.
            Answer::Balloon { device, running: true } => balloon::reclaim(&device),
            Answer::Done | Answer::Metrics(_) | Answer::Saved(_) | Answer::DiskSize(_) => {
                Err(MachineError::DriverGone)
            }
        }
    }

    /// The consoles behind the ports of its console device, by their names.
    pub fn consoles(&self) -> &BTreeMap<String, Arc<Console>> {
        &self.handle.consoles
    }

    /// Waits for the end, up to `limit` if there is one.
    pub fn wait(&self, limit: Option<Duration>) -> Option<MachineExit> {
        self.handle.shared.wait(limit)
    }

    /// The machine at this moment.
    pub fn info(&self) -> MachineInfo {
        let shared = &self.handle.shared;
        MachineInfo {
            state: shared.state(),
            uptime_ms: u64::try_from(shared.uptime().as_millis()).unwrap_or(u64::MAX),
            vcpus: u32::try_from(self.handle.vcpus.len()).unwrap_or(u32::MAX),
            exit: shared.exit(),
        }
    }

    /// Metrics by their names ([`flotilla_spec::metrics`]): exits by reason and what the devices count. After the end their
    /// last values.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        match self.request(Request::Metrics) {
            Ok(Answer::Metrics(metrics)) => metrics,
            Ok(Answer::Done | Answer::Saved(_) | Answer::DiskSize(_) | Answer::Balloon { .. }) | Err(_) => {
                BTreeMap::new()
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn memory(&self) -> Arc<flotilla_memory::GuestMemory> {
        Arc::clone(&self.handle.memory)
    }

    fn perform(&self, verb: Verb) -> Result<(), MachineError> {
        self.request(Request::Do(verb)).map(drop)
    }

    fn request(&self, request: Request) -> Result<Answer, MachineError> {
        let (reply, answer) = mpsc::sync_channel(1);
        let limit = self.handle.limit(&request);
        match self.handle.inbox.send(Command { request, reply }) {
            Ok(()) => answer.recv_timeout(limit).unwrap_or_else(|error| match error {
                RecvTimeoutError::Timeout => Err(MachineError::NoAnswer),
                RecvTimeoutError::Disconnected => Err(MachineError::DriverGone),
            }),
            Err(command) => answer_stopped(&command.request, &self.handle.shared),
        }
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").field("info", &self.info()).finish_non_exhaustive()
    }
}

impl Handle {
    /// The longest wait for the answer to a request.
    fn limit(&self, request: &Request) -> Duration {
        match request {
            Request::Do(Verb::Boot | Verb::Reset) => self.patience.load,
            Request::Do(Verb::Stop) => self.patience.end(),
            Request::Do(Verb::Pause | Verb::Resume | Verb::Save | Verb::Restore) | Request::Restore(_) => {
                self.patience.answer
            }
            Request::Do(Verb::PowerButton)
            | Request::SetLink { .. }
            | Request::Announce(_)
            | Request::SetThrottle { .. }
            | Request::SetBalloon(_)
            | Request::Balloon
            | Request::Metrics
            | Request::RefreshDisk { .. } => self.patience.step,
        }
    }

    /// Waits for the end of a machine that was told to end, and gives it up when that does not come.
    fn end(&self) {
        let limit = self.patience.end();
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        match driver {
            // Another caller sees to it.
            None => drop(self.shared.wait(Some(limit + self.patience.step))),
            // The last handle was held by an event receiver, which runs on that very thread.
            Some(driver) if driver.thread().id() == std::thread::current().id() => {}
            // The driver catches its panics.
            Some(driver) if self.shared.wait(Some(limit)).is_some() => drop(driver.join()),
            Some(_) => self.give_up(),
        }
    }

    /// Declares the machine ended although the thread that drives it hangs.
    fn give_up(&self) {
        tracing::error!("machine is given up: the thread that drives it hangs in a device");
        // What runs shall not go on for nobody, and the driver shall clean up if it ever wakes up.
        self.vcpus.iter().filter_map(Weak::upgrade).for_each(|vcpu| vcpu.stop());
        self.inbox.abandon();
        let unanswered = self.inbox.close();
        self.console.close();
        self.consoles.values().for_each(|console| console.close());
        let message = "A device hangs; the machine is left behind with its threads and memory";
        let exit =
            MachineExit { message: Some(message.to_owned()), ..MachineExit::plain(ExitReason::Killed) };
        self.shared.set_exit(exit);
        self.events.event(MachineEvent::State { state: MachineState::Stopped });
        self.shared.finish(self.events.as_ref());
        for command in unanswered {
            let _ = command.reply.send(answer_stopped(&command.request, &self.shared));
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inbox.abandon();
        self.end();
    }
}
