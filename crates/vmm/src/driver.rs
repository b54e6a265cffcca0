// SPDX-License-Identifier: Apache-2.0
//! The state driver: the one thread that owns a machine and changes its state.
//!
//! ```text
//!   callers ── Command ──▶ ┌───────┐                    ┌──▶ vCPU threads (orders, jobs)
//!   devices ── Signal ───▶ │ Inbox │ ──▶ Driver::run ───┼──▶ devices (pause, resume, reset, save, restore)
//!   threads ── Crash ────▶ └───────┘                    └──▶ Shared (state, exit), MachineEvents
//! ```
//!
//! See [`crate::state`] for the states. Everything happens on this thread, one thing after the other, so no two
//! changes of a machine ever overlap. A panic here ends this machine and nothing else.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use flotilla_device_model::power::GuestSignal;
use flotilla_device_model::threads::panic_text;
use flotilla_hypervisor::Registers;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{CpuReport, ExitReason, MachineEvent, MachineExit, MachineState};
use flotilla_spec::{CrashPolicy, MachineSpec, RebootPolicy, WatchdogAction};

use crate::command::{Answer, Command, Request};
use crate::error::{MachineError, describe};
use crate::events::MachineEvents;
use crate::inbox::{CrashReport, Inbox, Message, Origin};
use crate::parts::{DISK_PREFIX, INTERFACE_PREFIX, Parts, SHARE_PREFIX};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::state::{Verb, Verdict, may_become};
use crate::vcpu::exits::Crash;

/// What follows what the guest does.
#[derive(Debug, Clone, Copy)]
pub struct Policies {
    /// A reset by the guest.
    pub reboot: RebootPolicy,
    /// A panic of the guest's kernel.
    pub panic: CrashPolicy,
    /// A triple fault.
    pub triple_fault: CrashPolicy,
    /// A watchdog that was not reset in time.
    pub watchdog: WatchdogAction,
}

impl Policies {
    /// Those of a specification.
    pub fn of(spec: &MachineSpec) -> Self {
        Self {
            reboot: spec.on_reboot,
            panic: spec.on_panic,
            triple_fault: spec.on_triple_fault,
            watchdog: spec.watchdog.unwrap_or_default().action,
        }
    }
}

/// Owns and drives a machine.
pub struct Driver {
    parts: Parts,
    policies: Policies,
    inbox: Arc<Inbox>,
    shared: Arc<Shared>,
    events: Arc<dyn MachineEvents>,
    state: MachineState,
}

impl Driver {
    /// A driver for a machine in state `Configured`.
    pub fn new(
        parts: Parts,
        policies: Policies,
        inbox: Arc<Inbox>,
        shared: Arc<Shared>,
        events: Arc<dyn MachineEvents>,
    ) -> Self {
        Self { parts, policies, inbox, shared, events, state: MachineState::Configured }
    }

    /// Drives the machine to its end. Afterwards all its threads, descriptors and memory are gone.
    pub fn run(mut self) {
        let caught = catch_unwind(AssertUnwindSafe(|| self.run_until_stopped()));
        if let Err(panic) = caught {
            let exit = core_panic("the thread that drives the machine", &panic_text(panic.as_ref()));
            // A second panic while ending leaves the rest to the drop of the parts.
            let _ = catch_unwind(AssertUnwindSafe(|| self.end(exit)));
        }
        let rest = self.inbox.close();
        let Self { parts, shared, events, .. } = self;
        drop(parts);
        shared.finish(events.as_ref());
        for command in rest {
            let _ = command.reply.send(answer_stopped(&command.request, &shared));
        }
    }

    fn run_until_stopped(&mut self) {
        while self.state != MachineState::Stopped {
            match self.inbox.next() {
                Message::Command(command) => self.obey(command),
                Message::Signal(signal) => self.on_signal(signal),
                Message::Crash(report) => self.on_crash(report),
                Message::DiskFull(device) => self.on_disk_full(&device),
                Message::LinkLost(device) => self.on_link_lost(&device),
                Message::ShareLost(device) => self.on_share_lost(&device),
                Message::Abandoned => self.end(MachineExit::plain(ExitReason::Killed)),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let answer = match command.request {
            Request::Metrics => Ok(Answer::Metrics(self.parts.metrics())),
            Request::SetLink { interface, up } => self.parts.set_link(&interface, up).map(|()| Answer::Done),
            Request::Announce(interface) => self.parts.announce(&interface).map(|()| Answer::Done),
            Request::SetThrottle { target, limits } => {
                self.parts.set_throttle(&target, limits).map(|()| Answer::Done)
            }
            Request::SetBalloon(target) => self.parts.set_balloon(target).map(|()| Answer::Done),
            Request::Balloon => {
                let running = self.state == MachineState::Running;
                self.parts.balloon().map(|device| Answer::Balloon { device, running })
            }
            Request::Restore(snapshot) => self.restore(&snapshot),
            Request::RefreshDisk { disk, size } => self.parts.refresh_disk(&disk, size).map(Answer::DiskSize),
            Request::Do(verb) => match verb.in_state(self.state) {
                Verdict::Act => self.act(verb),
                Verdict::Nothing => Ok(Answer::Done),
                Verdict::Refuse => Err(MachineError::State { verb, state: self.state }),
            },
        };
        // A caller that went away does not need its answer.
        let _ = command.reply.send(answer);
    }

    fn act(&mut self, verb: Verb) -> Result<Answer, MachineError> {
        let done = match verb {
            Verb::Boot => self.boot(),
            Verb::Pause => self.pause(),
            Verb::Resume => self.resume(),
            Verb::PowerButton => self.parts.press_power_button(),
            Verb::Reset => self.reset(),
            Verb::Save => return self.parts.save().map(|snapshot| Answer::Saved(Box::new(snapshot))),
            Verb::Restore => Err(MachineError::State { verb, state: self.state }),
            Verb::Stop => {
                self.end(MachineExit::plain(ExitReason::Killed));
                Ok(())
            }
        };
        done.map(|()| Answer::Done)
    }

    fn boot(&mut self) -> Result<(), MachineError> {
        self.or_end(Parts::load_guest)?;
        self.resume()
    }

    fn pause(&mut self) -> Result<(), MachineError> {
        self.stop_for_owner()?;
        self.enter(MachineState::Paused);
        Ok(())
    }

    fn resume(&mut self) -> Result<(), MachineError> {
        self.inbox.settle();
        self.or_end(Parts::start)?;
        self.enter(MachineState::Running);
        Ok(())
    }

    /// Restarts the guest for the owner.
    fn reset(&mut self) -> Result<(), MachineError> {
        if self.state == MachineState::Running {
            self.stop_for_owner()?;
        }
        self.restart()
    }

    /// Restarts the guest as after power-on. A paused machine stays paused.
    fn restart(&mut self) -> Result<(), MachineError> {
        if self.state == MachineState::Running {
            self.or_end(Parts::stop)?;
        }
        self.inbox.forget_signals();
        self.or_end(Parts::reset)?;
        self.tell(MachineEvent::GuestReset);
        if self.state == MachineState::Running {
            self.or_end(Parts::start)?;
        }
        Ok(())
    }

    /// Stops vCPUs and devices. The owner may try again: a vCPU that hangs is no reason to end the machine.
    fn stop_for_owner(&mut self) -> Result<(), MachineError> {
        match self.parts.stop() {
            Err(error @ MachineError::VcpuStuck { .. }) => {
                // What the guest asked for meanwhile comes next, and its vCPUs wait for that.
                if !self.inbox.guest_signalled() {
                    self.parts.recall();
                }
                Err(error)
            }
            done => self.or_end(|_| done),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<Answer, MachineError> {
        if Verb::Restore.in_state(self.state) != Verdict::Act {
            return Err(MachineError::State { verb: Verb::Restore, state: self.state });
        }
        self.parts.check_snapshot(snapshot)?;
        self.or_end(|parts| parts.restore(snapshot))?;
        self.enter(MachineState::Paused);
        Ok(Answer::Done)
    }

    fn on_signal(&mut self, signal: GuestSignal) {
        match signal {
            GuestSignal::PowerOff => self.end(MachineExit::plain(ExitReason::PoweredOff)),
            GuestSignal::Reset => self.on_guest_reset(),
            GuestSignal::Panic => {
                if self.quiesce().is_err() {
                    return self.tell(MachineEvent::Panic { registers: None });
                }
                let registers = self.inbox.take_panicked().and_then(|cpu| self.registers(cpu));
                self.on_panic(registers);
            }
            GuestSignal::Watchdog => self.on_watchdog(),
        }
    }

    /// The guest may have come to itself meanwhile: too late is too late.
    fn on_watchdog(&mut self) {
        let action = self.policies.watchdog;
        self.tell(MachineEvent::Watchdog { action });
        let exit = MachineExit::plain(ExitReason::Watchdog);
        match action {
            WatchdogAction::Reset => self.apply(CrashPolicy::Restart, exit),
            WatchdogAction::Poweroff => self.apply(CrashPolicy::Stop, exit),
            WatchdogAction::Pause => self.apply(CrashPolicy::Pause, exit),
            WatchdogAction::Report => {}
        }
    }

    /// The registers of a paused vCPU.
    fn registers(&self, cpu: u32) -> Option<CpuReport> {
        let registers = self.parts.registers(usize::try_from(cpu).ok()?)?;
        Some(cpu_report(cpu, &registers))
    }

    fn on_crash(&mut self, report: CrashReport) {
        let registers = match report.origin {
            Origin::Vcpu(cpu) => report.registers.as_deref().map(|registers| cpu_report(cpu, registers)),
            Origin::Device(_) => None,
        };
        match report.crash {
            Crash::PowerOff => self.end(MachineExit::plain(ExitReason::PoweredOff)),
            Crash::Reset => self.on_guest_reset(),
            Crash::Panic => self.on_panic(registers),
            Crash::TripleFault => {
                let registers = registers.map(mark_reset);
                self.tell(MachineEvent::TripleFault { registers: registers.clone() });
                let exit = MachineExit { registers, ..MachineExit::plain(ExitReason::TripleFault) };
                self.apply(self.policies.triple_fault, exit);
            }
            Crash::Internal(text) | Crash::ThreadLost(text) => {
                let message = format!("{}: {text}", report.origin);
                self.end(MachineExit { registers, ..MachineExit::error(ErrorCode::Io, message) });
            }
            Crash::Panicked(text) => self.end(core_panic(&report.origin.to_string(), &text)),
        }
    }

    fn on_guest_reset(&mut self) {
        match self.policies.reboot {
            // A failed reset has ended the machine with its reason.
            RebootPolicy::Restart => drop(self.restart()),
            RebootPolicy::Stop => self.end(MachineExit::plain(ExitReason::Reset)),
        }
    }

    fn on_panic(&mut self, registers: Option<CpuReport>) {
        self.tell(MachineEvent::Panic { registers: registers.clone() });
        let exit = MachineExit { registers, ..MachineExit::plain(ExitReason::Panic) };
        self.apply(self.policies.panic, exit);
    }

    /// Only disks that shall wait for space report that they have none.
    fn on_disk_full(&mut self, device: &str) {
        let disk = device.strip_prefix(DISK_PREFIX).unwrap_or(device).to_owned();
        self.tell(MachineEvent::DiskFull { disk });
        if self.quiesce().is_ok() && self.state == MachineState::Running {
            self.enter(MachineState::Paused);
        }
    }

    /// The guest sees its cable pulled out, and goes on.
    fn on_link_lost(&mut self, device: &str) {
        let interface = device.strip_prefix(INTERFACE_PREFIX).unwrap_or(device).to_owned();
        self.tell(MachineEvent::LinkLost { interface });
    }

    /// The guest cannot use the folder any more, and goes on.
    fn on_share_lost(&mut self, device: &str) {
        let share = device.strip_prefix(SHARE_PREFIX).unwrap_or(device).to_owned();
        self.tell(MachineEvent::ShareLost { share });
    }

    fn apply(&mut self, policy: CrashPolicy, exit: MachineExit) {
        match policy {
            CrashPolicy::Stop => self.end(exit),
            CrashPolicy::Restart => drop(self.restart()),
            CrashPolicy::Pause => {
                if self.quiesce().is_ok() && self.state == MachineState::Running {
                    self.enter(MachineState::Paused);
                }
            }
        }
    }

    /// Stops vCPUs and devices of a running machine, without a change of its state: the change follows. A failure has
    /// been dealt with and leaves nothing to do: mostly it has ended the machine.
    fn quiesce(&mut self) -> Result<(), MachineError> {
        match self.state {
            MachineState::Running => self.or_end(Parts::stop),
            MachineState::Configured | MachineState::Paused | MachineState::Stopped => Ok(()),
        }
    }

    /// A step after whose failure the machine is in no defined state: the failure ends it.
    fn or_end(
        &mut self,
        step: impl FnOnce(&mut Parts) -> Result<(), MachineError>,
    ) -> Result<(), MachineError> {
        let done = step(&mut self.parts);
        if let Err(error) = &done {
            match self.inbox.take_fault() {
                // The failure is only its consequence.
                Some(report) => self.on_crash(report),
                None => self.end(MachineExit::error(error.code(), describe(error))),
            }
        }
        done
    }

    fn end(&mut self, mut exit: MachineExit) {
        if self.state == MachineState::Stopped {
            return;
        }
        let patience = self.parts.patience;
        // An owner who ends a machine waits; a guest that switches itself off may have a slow disk.
        let drain = if exit.reason == ExitReason::Killed { patience.step } else { patience.answer };
        match self.parts.end(drain) {
            Ok(()) => self.shared.set_last_metrics(self.parts.metrics()),
            Err(stuck) => {
                tracing::error!(%stuck, "machine ends without some of its threads");
                exit.message.get_or_insert_with(|| stuck.to_string());
            }
        }
        self.shared.set_exit(exit);
        self.enter(MachineState::Stopped);
    }

    fn enter(&mut self, state: MachineState) {
        debug_assert!(may_become(self.state, state), "{:?} to {state:?}", self.state);
        tracing::info!(from = self.state.text(), to = state.text(), "machine changes state");
        self.state = state;
        if state != MachineState::Stopped {
            self.shared.set_state(state);
        }
        self.tell(MachineEvent::State { state });
    }

    /// Nothing once the machine has been given up: its owner was told of the end.
    fn tell(&self, event: MachineEvent) {
        if self.shared.state() != MachineState::Stopped {
            self.events.event(event);
        }
    }
}

/// The answer to a request that comes after the end.
pub fn answer_stopped(request: &Request, shared: &Shared) -> Result<Answer, MachineError> {
    let state = MachineState::Stopped;
    match request {
        Request::Metrics => Ok(Answer::Metrics(shared.last_metrics())),
        Request::Restore(_) => Err(MachineError::State { verb: Verb::Restore, state }),
        Request::RefreshDisk { .. }
        | Request::SetLink { .. }
        | Request::Announce(_)
        | Request::SetThrottle { .. }
        | Request::SetBalloon(_)
        | Request::Balloon => Err(MachineError::Ended),
        Request::Do(verb) => match verb.in_state(state) {
            Verdict::Nothing => Ok(Answer::Done),
            Verdict::Act | Verdict::Refuse => Err(MachineError::State { verb: *verb, state }),
        },
    }
}

fn core_panic(place: &str, text: &str) -> MachineExit {
    let message = format!("Flotilla itself failed in {place}: {text}. Please report this with the log");
    MachineExit::error(ErrorCode::CorePanic, message)
}

/// Registers by their names, as text.
pub fn cpu_report(cpu: u32, registers: &Registers) -> CpuReport {
    let fields = match serde_json::to_value(registers) {
        Ok(serde_json::Value::Object(fields)) => fields,
        Ok(_) | Err(_) => serde_json::Map::new(),
    };
    let hex = |value: &serde_json::Value| value.as_u64().map(|value| format!("{value:#x}"));
    let registers: BTreeMap<String, String> =
        fields.iter().filter_map(|(name, value)| Some((name.clone(), hex(value)?))).collect();
    CpuReport { cpu, after_reset: false, registers }
}

/// Registers after a triple fault. On AMD processors KVM resets the virtual CPU before anyone can look at it, because the
/// processor leaves its state undefined there. Such registers are known by the reset vector in real mode.
fn mark_reset(report: CpuReport) -> CpuReport {
    let is = |name: &str, value: &str| report.registers.get(name).is_some_and(|text| text == value);
    let after_reset = is("cs", "0xf000") && is("rip", "0xfff0") && is("efer", "0x0") && is("rflags", "0x2");
    CpuReport { after_reset, ..report }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_of_a_cpu_that_kvm_has_reset_are_not_passed_off_as_those_of_the_fault() {
        // As kvm_amd leaves them.
        let reset = Registers {
            rip: 0xfff0,
            rflags: 2,
            rdx: 0x600,
            cr0: 0x6000_0010,
            cs: 0xf000,
            ..Registers::default()
        };
        let report = mark_reset(cpu_report(3, &reset));
        assert!(report.after_reset && report.cpu == 3, "{report:?}");
        // As kvm_intel leaves them, also of a guest in real mode.
        let others = [
            Registers { rip: 0xffff_ffff_8100_0000, efer: 0xd01, cs: 0x10, ..reset },
            Registers { cs: 0x800, rip: 0x10, ..reset },
            Registers { rflags: 0x46, ..reset },
        ];
        for registers in others {
            assert!(!mark_reset(cpu_report(0, &registers)).after_reset, "{registers:?}");
        }
    }
}
