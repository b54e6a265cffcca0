// SPDX-License-Identifier: Apache-2.0
//! What becomes of a guest that does not reset its watchdog.

use std::thread::sleep;
use std::time::{Duration, Instant};

use flotilla_spec::report::{ExitReason, MachineEvent, MachineState};
use flotilla_spec::{MachineSpec, RebootPolicy, WatchdogAction, WatchdogSpec};

use super::{Fixture, kvm_is_there};

fn guarded(action: WatchdogAction) -> impl FnOnce(&mut MachineSpec) {
    move |spec| spec.watchdog = Some(WatchdogSpec { action })
}

/// A machine whose guest hangs, after its watchdog has told of that.
fn bitten(action: WatchdogAction) -> Fixture {
    let begin = Instant::now();
    let fixture = Fixture::boot("watchdog", guarded(action));
    let event = fixture.event(|event| matches!(event, MachineEvent::Watchdog { .. }));
    assert_eq!(event, MachineEvent::Watchdog { action });
    assert!(begin.elapsed() >= Duration::from_millis(300));
    fixture
}

#[test]
fn a_reset_lets_the_guest_start_again_and_tells_it_why() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("watchdog", |spec| {
        guarded(WatchdogAction::Reset)(spec);
        spec.on_reboot = RebootPolicy::Stop;
    });
    fixture.event(|event| *event == MachineEvent::Watchdog { action: WatchdogAction::Reset });
    fixture.event(|event| *event == MachineEvent::GuestReset);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "ready\nbitten\n");
    assert_eq!(fixture.machine.metrics()["watchdog.expirations"], 1);
}

#[test]
fn poweroff_ends_the_machine_with_a_reason_of_its_own() {
    if !kvm_is_there() {
        return;
    }
    let fixture = bitten(WatchdogAction::Poweroff);
    assert_eq!(fixture.wait().reason, ExitReason::Watchdog);
    assert_eq!(fixture.output(), "ready\n");
}

#[test]
fn a_pause_leaves_the_machine_to_be_looked_at_and_a_resume_tells_nothing_twice() {
    if !kvm_is_there() {
        return;
    }
    let fixture = bitten(WatchdogAction::Pause);
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    fixture.machine.save().unwrap();
    fixture.machine.resume().unwrap();
    sleep(Duration::from_millis(500));
    assert_eq!(fixture.machine.info().state, MachineState::Running);
    assert_eq!(fixture.machine.metrics()["watchdog.expirations"], 1);
    // The reset is the owner's: the guest is not told that it was the watchdog's.
    fixture.machine.reset().unwrap();
    fixture.expect("ready\nready\n");
}

#[test]
fn a_report_is_an_event_and_the_guest_runs_on() {
    if !kvm_is_there() {
        return;
    }
    let fixture = bitten(WatchdogAction::Report);
    sleep(Duration::from_millis(500));
    assert_eq!(fixture.machine.info().state, MachineState::Running);
    assert!(fixture.events.try_iter().next().is_none(), "no other event follows");
    fixture.machine.pause().unwrap();
    fixture.machine.resume().unwrap();
    fixture.machine.stop().unwrap();
    assert_eq!(fixture.wait().reason, ExitReason::Killed);
}

#[test]
fn no_time_runs_off_in_a_pause() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("watchdog", guarded(WatchdogAction::Report));
    fixture.expect("ready\n");
    fixture.machine.pause().unwrap();
    let state = || {
        let saved = fixture.machine.save().unwrap();
        let left = saved.devices["watchdog"].fields["left"].as_u64().unwrap();
        (left, fixture.machine.metrics()["watchdog.expirations"])
    };
    // On a host with much to do it may be over already.
    let before = state();
    sleep(Duration::from_millis(700));
    assert_eq!(state(), before);
    fixture.machine.resume().unwrap();
    fixture.event(|event| matches!(event, MachineEvent::Watchdog { .. }));
}

#[test]
fn a_micro_machine_with_acpi_has_one_too() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("watchdog", |spec| {
        (spec.profile, spec.acpi) = (flotilla_spec::Profile::Micro, Some(true));
        guarded(WatchdogAction::Reset)(spec);
    });
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "ready\nbitten\n");
}
