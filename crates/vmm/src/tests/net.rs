// SPDX-License-Identifier: Apache-2.0
//! Whole machines with a network interface, whose cable is pulled out, or whose network goes away, while their guest looks.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use flotilla_net::tap;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineEvent};
use flotilla_spec::{LimitsSpec, RateSpec, ThrottleTarget};
use flotilla_test_guests::net::{FRAME_LEN, MAC, lose_network, watch_link};

use super::{Fixture, kvm_is_there, spec_with, valid};
use crate::Resources;
use crate::resources::InterfaceFiles;

/// A tap interface that goes when the test does.
struct Tap(String);

impl Tap {
    /// None where this user may make none, which it says; with `REQUIRE_KVM` that is a failure.
    fn create() -> Option<Self> {
        let name = format!("fltv{}", std::process::id());
        match tap::create_persistent(&name, None, true) {
            Ok(()) => Some(Self(name)),
            Err(error) => {
                assert!(
                    std::env::var_os("REQUIRE_KVM").is_none(),
                    "REQUIRE_KVM is set and there is no tap: {error}"
                );
                let _ = writeln!(std::io::stderr(), "SKIPPED: {error}");
                None
            }
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = tap::delete(&self.0);
    }
}

#[test]
fn a_guest_sees_its_cable_pulled_out_and_plugged_in() {
    if !kvm_is_there() {
        return;
    }
    let Some(tap) = Tap::create() else { return };
    let (mut spec, directory) = spec_with(&watch_link().image());
    let interface =
        serde_json::json!([{ "id": "lan", "tap": { "name": tap.0 }, "queues": 2, "link": "down" }]);
    spec.interfaces = serde_json::from_value(interface).unwrap();
    // So that the interface has the first slot.
    spec.rng = false;
    let fixture = Fixture::of(spec, directory);
    let announced = fixture.machine.announce("lan").unwrap_err();
    assert_eq!(announced.code(), ErrorCode::InterfaceNoAnnouncement, "no driver, and the cable is out");
    fixture.machine.boot().unwrap();
    for (dots, up) in [(0, true), (1, false), (2, true)] {
        fixture.expect(&".".repeat(dots));
        assert_eq!(fixture.output().len(), dots, "nothing is seen before it is so");
        fixture.machine.set_link("lan", up).unwrap();
    }
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "...done\n");
    let error = fixture.machine.set_link("lan", true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::MachineState);
    assert_eq!(fixture.machine.announce("lan").unwrap_err().code(), ErrorCode::MachineState);
}

/// A machine whose network is the other end of the socket.
fn on_stream() -> (Fixture, UnixStream) {
    let (mut spec, directory) = spec_with(&lose_network().image());
    spec.rng = false;
    let mut resources = Resources::open(&valid(spec.clone())).unwrap();
    let (ours, peer) = UnixStream::pair().unwrap();
    peer.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    resources.interfaces.push(InterfaceFiles::User(ours.into()));
    spec.interfaces = serde_json::from_value(serde_json::json!([{ "id": "lan", "user": {} }])).unwrap();
    (Fixture::with(spec, resources, directory), peer)
}

#[test]
fn a_network_that_goes_away_or_lies_takes_the_link_with_it_and_the_machine_runs_on() {
    if !kvm_is_there() {
        return;
    }
    for lies in [false, true] {
        let (fixture, mut peer) = on_stream();
        fixture.machine.boot().unwrap();
        let mut sent = vec![0; 4 + usize::try_from(FRAME_LEN).unwrap()];
        peer.read_exact(&mut sent).unwrap();
        assert_eq!((&sent[..4], &sent[10..16]), (&FRAME_LEN.to_be_bytes()[..], &MAC[..]));
        let frame = [&60_u32.to_be_bytes()[..], &MAC, &[0; 54]].concat();
        for part in frame.chunks(7) {
            peer.write_all(part).unwrap();
        }
        fixture.expect("..");
        assert_eq!(fixture.output(), "..", "nothing is lost yet");
        if lies {
            peer.write_all(&0_u32.to_be_bytes()).unwrap();
        } else {
            drop(peer);
        }
        let lost = fixture.event(|event| matches!(event, MachineEvent::LinkLost { .. }));
        assert_eq!(lost, MachineEvent::LinkLost { interface: "lan".to_owned() });
        assert_eq!(fixture.machine.metrics()["net:lan.link_losses"], 1);
        assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
        assert_eq!(fixture.output(), "....done\n");
    }
}

#[test]
fn only_what_is_there_and_has_limits_of_its_own_takes_other_ones() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |spec| {
        spec.throttle_groups =
            serde_json::from_value(serde_json::json!([{ "id": "slow", "limits": {} }])).unwrap();
    });
    let bytes = Some(RateSpec { per_second: 1000, burst: None });
    let set = |target| fixture.machine.set_throttle(target, LimitsSpec { bytes, operations: None });
    set(ThrottleTarget::Rng).unwrap();
    set(ThrottleTarget::Group { id: "slow".to_owned() }).unwrap();
    for id in ["slow", ""] {
        let error = set(ThrottleTarget::Disk { id: id.to_owned() }).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ThrottleUnknown);
    }
    fixture.machine.stop().unwrap();
    assert_eq!(set(ThrottleTarget::Rng).unwrap_err().code(), ErrorCode::MachineState);
}

#[test]
fn only_an_interface_that_is_there_has_a_cable() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |_| {});
    let error = fixture.machine.set_link("lan", true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InterfaceUnknown);
    assert_eq!(fixture.machine.announce("lan").unwrap_err().code(), ErrorCode::InterfaceUnknown);
}
