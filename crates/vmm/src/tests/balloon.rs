// SPDX-License-Identifier: Apache-2.0
//! Whole machines with a balloon. What a driver does with it is tested in the device, and with a real Linux.

use flotilla_spec::BalloonSpec;
use flotilla_spec::code::ErrorCode;

use super::{Fixture, kvm_is_there};

#[test]
fn a_balloon_is_asked_for_what_it_can_hold_in_every_state() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |spec| {
        spec.balloon = Some(BalloonSpec { target: 4096, free_page_hinting: true, ..BalloonSpec::default() });
    });
    let machine = &fixture.machine;
    let report = machine.balloon().unwrap();
    assert_eq!((report.target, report.actual, report.statistics), (4096, 0, None));
    assert_eq!(machine.reclaim_memory().unwrap_err().code(), ErrorCode::MachineNoHinting, "it has no driver");
    machine.pause().unwrap();
    assert_eq!(machine.reclaim_memory().unwrap_err().code(), ErrorCode::MachineState);
    machine.set_balloon(8192).unwrap();
    assert_eq!(machine.balloon().unwrap().target, 8192);
    assert_eq!(machine.metrics()["balloon.target_bytes"], 8192);
    for wrong in [1, 1 << 40] {
        assert_eq!(machine.set_balloon(wrong).unwrap_err().code(), ErrorCode::SpecBalloonInvalid);
    }
    machine.stop().unwrap();
    assert_eq!(machine.set_balloon(0).unwrap_err().code(), ErrorCode::MachineState);
}

#[test]
fn only_a_balloon_that_is_there_can_be_asked() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |_| {});
    assert_eq!(fixture.machine.set_balloon(0).unwrap_err().code(), ErrorCode::MachineNoBalloon);
    assert_eq!(fixture.machine.balloon().unwrap_err().code(), ErrorCode::MachineNoBalloon);
    assert_eq!(fixture.machine.reclaim_memory().unwrap_err().code(), ErrorCode::MachineNoBalloon);
}
