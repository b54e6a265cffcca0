// SPDX-License-Identifier: Apache-2.0
//! The guest's clocks stand still while its machine does.

use std::thread::sleep;
use std::time::Duration;

use flotilla_spec::report::MachineState;

use super::{Fixture, kvm_is_there};

/// Longer than anything else here takes on a busy host.
const AWAY: Duration = Duration::from_secs(3);

/// A machine that ran and is paused.
fn paused() -> Fixture {
    let fixture = Fixture::boot("spin", |_| ());
    fixture.expect("ready\n");
    fixture.machine.pause().unwrap();
    fixture
}

/// The guest's clocks as a snapshot would take them along, each with its name.
fn clocks(fixture: &Fixture) -> [(&'static str, Duration); 2] {
    let saved = fixture.machine.save().unwrap();
    let ticks = saved.devices["acpi-pm"].fields["timer_start"].as_u64().unwrap();
    [
        ("clock", Duration::from_nanos(saved.vm.clock().nanoseconds())),
        ("ACPI timer", Duration::from_nanos(ticks * 1_000_000_000 / 3_579_545)),
    ]
}

/// Each clock before and after.
fn pairs(
    before: [(&'static str, Duration); 2],
    after: [(&'static str, Duration); 2],
) -> impl Iterator<Item = (&'static str, Duration, Duration)> {
    before.into_iter().zip(after).map(|((name, before), (_, after))| (name, before, after))
}

#[test]
fn a_pause_takes_no_time_of_the_guest() {
    if !kvm_is_there() {
        return;
    }
    let fixture = paused();
    let before = clocks(&fixture);
    sleep(AWAY);
    // A snapshot says when the guest stopped, not when the snapshot was taken.
    assert_eq!(clocks(&fixture), before);
    fixture.machine.resume().unwrap();
    fixture.machine.pause().unwrap();
    for (name, before, after) in pairs(before, clocks(&fixture)) {
        assert!(after > before, "{name}: {before:?} {after:?}");
        assert!(after < before + AWAY, "{name} ran on while paused: {before:?} {after:?}");
    }
}

#[test]
fn a_clock_runs_while_the_guest_does() {
    if !kvm_is_there() {
        return;
    }
    let fixture = paused();
    let before = clocks(&fixture);
    fixture.machine.resume().unwrap();
    sleep(Duration::from_millis(200));
    fixture.machine.pause().unwrap();
    for (name, before, after) in pairs(before, clocks(&fixture)) {
        // A tick less: the timer counts whole ones.
        assert!(after + Duration::from_micros(1) >= before + Duration::from_millis(200), "{name}");
    }
}

#[test]
fn a_restored_guest_goes_on_at_the_time_it_was_saved() {
    if !kvm_is_there() {
        return;
    }
    let first = paused();
    let before = clocks(&first);
    let second = Fixture::build("spin", |_| ());
    super::snapshots::transplant(&first, &second);
    sleep(AWAY);
    second.machine.resume().unwrap();
    second.machine.pause().unwrap();
    for (name, before, after) in pairs(before, clocks(&second)) {
        assert!(after > before && after < before + AWAY, "{name}: {before:?} {after:?}");
    }
}

/// Linux looks at this mark before it calls a processor that did nothing for long locked up.
#[test]
fn a_guest_with_the_paravirtual_clock_is_told_that_it_stood_still() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("stopped-flag", |_| ());
    fixture.expect("ready\n");
    fixture.machine.pause().unwrap();
    assert_eq!(fixture.machine.info().state, MachineState::Paused);
    assert_eq!(fixture.output(), "ready\n");
    fixture.machine.resume().unwrap();
    fixture.expect("stopped\n");
    assert!(fixture.machine.wait(Some(super::LIMIT)).is_some());
}
