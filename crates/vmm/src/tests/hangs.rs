// SPDX-License-Identifier: Apache-2.0
//! A device that never returns holds nobody up but its own machine, and the owner can always end that.

use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_spec::CrashPolicy;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineEvent, MachineState};
use tempfile::TempDir;

use super::{Fixture, LIMIT, Sender, kvm_is_there, spec_of, valid};
use crate::driver::Policies;
use crate::inbox::Inbox;
use crate::parts::Parts;
use crate::{Console, Machine, MachineOptions, Patience, Resources, ThreadHook, ThreadRole, builder};

const PATIENCE: Patience =
    Patience { step: Duration::from_secs(1), answer: Duration::from_secs(3), load: Duration::from_secs(30) };

/// Where a thread hangs until it is opened. Dropped or not: a test that fails must not leave threads that wait.
#[derive(Default)]
struct Gate {
    /// Whether somebody hangs, and whether they may go.
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Gate {
    fn hang(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 = true;
        self.changed.notify_all();
        drop(self.changed.wait_timeout_while(state, LIMIT, |state| !state.1).unwrap());
    }

    fn wait_until_somebody_hangs(&self) {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, LIMIT, |state| !state.0).unwrap();
        assert!(state.0, "nobody came to the gate");
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

/// A port whose first access hangs.
struct HangingPort(Arc<Gate>);

impl BusDevice for HangingPort {
    fn read(&self, _offset: u64, _data: &mut [u8]) {
        self.0.hang();
    }

    fn write(&self, _offset: u64, _data: &[u8]) {}
}

/// A device that hangs in one call of its machine.
struct Hanging {
    gate: Arc<Gate>,
    call: &'static str,
}

impl Hanging {
    fn at(&self, call: &str) {
        if call == self.call {
            self.gate.hang();
        }
    }
}

impl Lifecycle for Hanging {
    fn name(&self) -> &'static str {
        "slow0"
    }

    fn pause(&self) {
        self.at("pause");
    }

    fn reset(&self) {
        self.at("reset");
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        self.at("save");
        DeviceState::pack("slow", 1, &())
    }

    fn restore(&self, _state: &DeviceState) -> Result<(), StateError> {
        Ok(())
    }
}

/// A running machine to whose parts `change` added something.
pub(super) fn boot(guest: &str, cpus: u32, change: impl FnOnce(&mut Parts)) -> Fixture {
    let fixture = build(guest, cpus, None, change);
    fixture.machine.boot().unwrap();
    fixture
}

/// The same before it boots; each of its threads calls `hook` first. A guest that panics would be restarted.
fn build(guest: &str, cpus: u32, hook: Option<ThreadHook>, change: impl FnOnce(&mut Parts)) -> Fixture {
    let (mut spec, directory): (_, TempDir) = spec_of(guest);
    spec.cpus = cpus;
    spec.on_panic = CrashPolicy::Restart;
    let spec = valid(spec);
    let (sender, events) = mpsc::channel();
    let console = Console::new();
    let mut options = MachineOptions::new(Arc::new(Sender(Mutex::new(sender))), Arc::clone(&console));
    options.patience = PATIENCE;
    options.on_thread_start = hook;
    let inbox = Arc::new(Inbox::default());
    let mut parts = builder::build(&spec, Resources::open(&spec).unwrap(), &options, &inbox).unwrap();
    change(&mut parts);
    let policies = Policies::of(&spec);
    let machine = Machine::drive(parts, policies, inbox, options).unwrap();
    Fixture { machine, console, events, _directory: directory }
}

fn with_hanging_port(cpus: u32) -> (Fixture, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let port = Arc::new(HangingPort(Arc::clone(&gate)));
    let fixture =
        boot("hostile", cpus, |parts| parts.routes.ports.insert(0x510, 1, port).expect("the port is free"));
    gate.wait_until_somebody_hangs();
    (fixture, gate)
}

fn with_hanging_device(guest: &str, call: &'static str) -> (Fixture, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let device = Arc::new(Hanging { gate: Arc::clone(&gate), call });
    let fixture = boot(guest, 1, |parts| parts.devices.push(device));
    fixture.expect("ready\n");
    (fixture, gate)
}

/// The machine ends in time, tells so once and last, and names what it left behind.
fn ends_and_names(fixture: &Fixture, what: &str) {
    let started = Instant::now();
    fixture.machine.stop().unwrap();
    assert!(started.elapsed() < PATIENCE.end() + LIMIT / 4, "{:?}", started.elapsed());
    let info = fixture.machine.info();
    let exit = info.exit.unwrap();
    assert_eq!((info.state, exit.reason), (MachineState::Stopped, ExitReason::Killed));
    assert!(exit.message.as_ref().is_some_and(|message| message.contains(what)), "{exit:?}");
    let told: Vec<_> = fixture.events.try_iter().collect();
    assert_eq!(told.last(), Some(&MachineEvent::Stopped(exit)));
    assert_eq!(told.iter().filter(|event| matches!(event, MachineEvent::Stopped(_))).count(), 1);
    // It stays answerable.
    fixture.machine.stop().unwrap();
    assert_eq!(fixture.machine.pause().unwrap_err().code(), ErrorCode::MachineState);
}

#[test]
fn a_vcpu_that_hangs_in_a_device_cannot_be_paused_and_the_machine_runs_on() {
    if !kvm_is_there() {
        return;
    }
    let (fixture, gate) = with_hanging_port(2);
    for refused in [fixture.machine.pause(), fixture.machine.reset()] {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), ErrorCode::MachineStuck);
        assert!(error.to_string().contains("vCPU 0 hangs in a device"), "{error}");
        assert_eq!(fixture.machine.info().state, MachineState::Running);
    }
    gate.open();
    fixture.expect("done\n");
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
}

#[test]
fn a_machine_whose_vcpu_hangs_in_a_device_ends_without_it() {
    if !kvm_is_there() {
        return;
    }
    let (fixture, gate) = with_hanging_port(2);
    ends_and_names(&fixture, "vCPU 0 did not end and is left behind");
    gate.open();
}

#[test]
fn a_machine_of_which_everything_hangs_ends_as_soon_and_names_it_all() {
    if !kvm_is_there() {
        return;
    }
    let gate = Arc::new(Gate::default());
    let at_start = Arc::clone(&gate);
    let hook: ThreadHook = Arc::new(move |role| {
        if role == ThreadRole::Vcpu {
            at_start.hang();
        }
        Ok(())
    });
    let device = Arc::new(Hanging { gate: Arc::clone(&gate), call: "reset" });
    let fixture = build("spin", 5, Some(hook), |parts| parts.devices.insert(0, device));
    ends_and_names(
        &fixture,
        "vCPU 0, vCPU 1, vCPU 2, vCPU 3, vCPU 4, device slow0 did not end and are left behind",
    );
    gate.open();
}

#[test]
fn the_drop_of_a_machine_that_hangs_returns() {
    if !kvm_is_there() {
        return;
    }
    let (fixture, gate) = with_hanging_port(1);
    let started = Instant::now();
    drop(fixture);
    assert!(started.elapsed() < PATIENCE.end() + LIMIT / 4);
    gate.open();
}

#[test]
fn a_machine_with_a_device_that_never_drains_ends_without_it() {
    if !kvm_is_there() {
        return;
    }
    for call in ["pause", "reset"] {
        let (fixture, gate) = with_hanging_device("spin", call);
        ends_and_names(&fixture, "device slow0 did not end");
        gate.open();
    }
}

#[test]
fn a_panic_while_a_vcpu_hangs_ends_the_machine_and_restarts_nothing() {
    if !kvm_is_there() {
        return;
    }
    let gate = Arc::new(Gate::default());
    let port = Arc::new(HangingPort(Arc::clone(&gate)));
    let device = Arc::new(Hanging { gate: Arc::clone(&gate), call: "reset" });
    let mut ports = None;
    let fixture = boot("hostile", 2, |parts| {
        parts.routes.ports.insert(0x510, 1, port).expect("the port is free");
        parts.devices.push(device);
        ports = Some(Arc::clone(&parts.routes.ports));
    });
    gate.wait_until_somebody_hangs();
    // What the kernel of the guest writes when it panics.
    assert!(ports.unwrap().write(flotilla_boot::layout::port::PVPANIC.into(), &[1]));
    let exit = fixture.machine.wait(Some(PATIENCE.end() + LIMIT / 4)).expect("the machine ends");
    assert_eq!((exit.reason, exit.code), (ExitReason::Error, Some(ErrorCode::MachineStuck)));
    let told: Vec<_> = fixture.events.try_iter().collect();
    assert!(told.iter().any(|event| matches!(event, MachineEvent::Panic { .. })), "{told:?}");
    assert!(!told.contains(&MachineEvent::GuestReset));
    gate.open();
}

#[test]
fn a_pause_that_a_device_holds_up_is_answered_and_comes_true_later() {
    if !kvm_is_there() {
        return;
    }
    let (fixture, gate) = with_hanging_device("ticker", "pause");
    let error = fixture.machine.pause().unwrap_err();
    assert_eq!(error.code(), ErrorCode::MachineStuck);
    assert!(error.to_string().contains("does not answer"), "{error}");
    gate.open();
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    fixture.machine.resume().unwrap();
    fixture.machine.stop().unwrap();
    assert_eq!(fixture.wait().message, None);
}

#[test]
fn a_machine_whose_driver_hangs_is_given_up() {
    if !kvm_is_there() {
        return;
    }
    for call in ["pause", "save"] {
        let (fixture, gate) = with_hanging_device("ticker", call);
        let _ = fixture.machine.pause();
        assert!(fixture.machine.save().is_err());
        ends_and_names(&fixture, "A device hangs");
        let end = fixture.console.end();
        gate.open();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(fixture.console.end(), end, "the guest runs on");
        assert_eq!(fixture.events.try_iter().count(), 0, "something is told after the end");
    }
}
