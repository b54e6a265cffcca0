// SPDX-License-Identifier: Apache-2.0
//! Whole machines with a network interface, whose cable is pulled out while their guest looks.

use std::io::Write;

use flotilla_net::tap;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::ExitReason;
use flotilla_test_guests::net::watch_link;

use super::{Fixture, kvm_is_there, spec_with};

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
}

#[test]
fn only_an_interface_that_is_there_has_a_cable() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |_| {});
    let error = fixture.machine.set_link("lan", true).unwrap_err();
    assert_eq!(error.code(), ErrorCode::InterfaceUnknown);
}
