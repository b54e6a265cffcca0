// SPDX-License-Identifier: Apache-2.0
//! Machines without PCI, and without ACPI unless it was asked for.

use std::fs;

use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineState};
use flotilla_spec::{MachineSpec, Profile};
use flotilla_test_guests::Script;

use super::snapshots::transplant;
use super::{Fixture, kvm_is_there, spec_with};

fn micro(spec: &mut MachineSpec) {
    spec.profile = Profile::Micro;
}

fn micro_with_acpi(spec: &mut MachineSpec) {
    spec.profile = Profile::Micro;
    spec.acpi = Some(true);
}

#[test]
fn a_guest_runs_is_reset_and_stopped() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", micro);
    fixture.expect("ready\n");
    fixture.machine.pause().unwrap();
    fixture.machine.reset().unwrap();
    fixture.machine.resume().unwrap();
    fixture.expect("ready\nready\n");
    assert_eq!(fixture.machine.info().state, MachineState::Running);
    fixture.machine.stop().unwrap();
}

#[test]
fn there_is_a_power_button_only_with_acpi() {
    if !kvm_is_there() {
        return;
    }
    let without = Fixture::boot("button", micro);
    without.expect("ready\n");
    let error = without.machine.power_button().unwrap_err();
    assert_eq!(error.code(), ErrorCode::MachineNoPowerButton);
    assert_eq!(without.machine.info().state, MachineState::Running);
    without.machine.stop().unwrap();

    let with = Fixture::boot("button", micro_with_acpi);
    with.expect("ready\n");
    with.machine.power_button().unwrap();
    assert_eq!(with.wait().reason, ExitReason::PoweredOff);
}

#[test]
fn two_cpus_start_and_power_off() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("smp", |spec| {
        micro_with_acpi(spec);
        spec.cpus = 2;
    });
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "one\ntwo\n");
}

/// The guest waits for each value to be there, and comes to its end only if all of them are.
#[test]
fn virtio_devices_have_pages_and_there_is_no_pci() {
    if !kvm_is_there() {
        return;
    }
    let mut script = Script::default();
    // Half a register reads as zero where there is one, as ones where nothing is.
    script.wait(0xd000_0000, 0);
    // The capacity of the disk in sectors, the first field of its configuration.
    script.wait(0xd000_1100, 3);
    script.wait(0xd000_2000, u32::MAX);
    // The configuration space of the first function, where a machine with PCI has it.
    script.wait(0xb000_8000, u32::MAX);
    let (mut spec, directory) = spec_with(&script.image());
    micro_with_acpi(&mut spec);
    let disk = directory.path().join("disk");
    fs::write(&disk, [0; 3 * 512]).unwrap();
    let disks = serde_json::json!([{ "id": "d", "source": { "path": disk }, "format": "raw" }]);
    spec.disks = serde_json::from_value(disks).unwrap();
    let fixture = Fixture::of(spec, directory);
    fixture.machine.boot().unwrap();
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), "done\n");
}

#[test]
fn goes_on_in_a_new_machine_of_the_same_profile_only() {
    if !kvm_is_there() {
        return;
    }
    let first = Fixture::boot("ticker", micro);
    first.expect("ready\n..");
    first.machine.pause().unwrap();
    let snapshot = first.machine.save().unwrap();
    let other = Fixture::build("ticker", |_| ());
    assert!(other.machine.restore(snapshot).is_err(), "a machine with PCI has other devices");
    let second = Fixture::build("ticker", micro);
    transplant(&first, &second);
    second.machine.resume().unwrap();
    second.expect("..");
}
