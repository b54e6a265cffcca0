// SPDX-License-Identifier: Apache-2.0
//! A machine that goes on from a snapshot is another one, and its guest hears of it.

use flotilla_boot::layout::VM_GENERATION_ID;
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_spec::report::ExitReason;
use flotilla_spec::{FileSource, MachineSpec, MemorySize};

use std::io::Write;
use std::path::PathBuf;

use super::snapshots::transplant;
use super::{Fixture, kvm_is_there};

fn identity(fixture: &Fixture) -> [u8; 16] {
    let mut id = [0; 16];
    fixture.machine.memory().read_slice(&mut id, GuestAddress(VM_GENERATION_ID)).unwrap();
    id
}

#[test]
fn an_identity_stays_over_pauses_and_resets_and_belongs_to_one_machine() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("generation", |_| ());
    fixture.expect("ready\n");
    let id = identity(&fixture);
    assert_ne!(id, [0; 16]);
    fixture.machine.pause().unwrap();
    fixture.machine.resume().unwrap();
    fixture.machine.memory().write_slice(&[0; 16], GuestAddress(VM_GENERATION_ID)).unwrap();
    fixture.machine.reset().unwrap();
    fixture.expect("ready\nready\n");
    assert_eq!((identity(&fixture), fixture.machine.metrics()["vm-generation.renewals"]), (id, 0));
    assert_ne!(identity(&Fixture::build("generation", |_| ())), id);
}

#[test]
fn every_restore_makes_a_new_one_and_tells_the_guest() {
    if !kvm_is_there() {
        return;
    }
    let first = Fixture::boot("generation", |_| ());
    first.expect("ready\n");
    first.machine.pause().unwrap();
    let mut seen = vec![identity(&first)];
    for _ in 0..2 {
        let next = Fixture::build("generation", |_| ());
        transplant(&first, &next);
        assert_eq!(identity(&next), seen[0], "in memory as it was saved, until the guest goes on");
        next.machine.resume().unwrap();
        assert_eq!(next.wait().reason, ExitReason::PoweredOff);
        assert_eq!(next.output(), "another\n");
        seen.push(identity(&next));
    }
    assert!(seen[1] != seen[0] && seen[2] != seen[0] && seen[1] != seen[2], "{seen:?}");
    // The one that was saved goes on as what it is.
    first.machine.resume().unwrap();
    first.machine.pause().unwrap();
    assert_eq!((identity(&first), first.output()), (seen[0], "ready\n".to_owned()));
}

#[test]
fn a_machine_without_acpi_has_none() {
    if !kvm_is_there() {
        return;
    }
    let fixture = Fixture::boot("idle", |spec| spec.profile = flotilla_spec::Profile::Micro);
    assert_eq!(identity(&fixture), [0; 16]);
    assert!(!fixture.machine.metrics().contains_key("vm-generation.renewals"));
}

/// What Linux says when it has heard of another identity.
const RESEEDED: &str = "crng reseeded due to virtual machine fork";

/// A real Linux with a driver for the identity, if the environment names one, as the guest tier does; otherwise says so.
pub(super) fn linux() -> Option<impl Fn(&mut MachineSpec)> {
    let path = |variable| std::env::var_os(variable).map(PathBuf::from).map(FileSource::Path);
    let Some((kernel, initrd)) = path("FLOTILLA_TEST_VMLINUX").zip(path("FLOTILLA_TEST_INITRD")) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: FLOTILLA_TEST_VMLINUX and FLOTILLA_TEST_INITRD are not set"
        );
        return None;
    };
    Some(move |spec: &mut MachineSpec| {
        spec.memory = MemorySize(96 << 20);
        spec.boot.kernel = kernel.clone();
        spec.boot.initrd = Some(initrd.clone());
        spec.boot.command_line = "console=ttyS0 quiet".to_owned();
    })
}

#[test]
fn a_linux_that_goes_on_from_a_snapshot_has_other_random_numbers() {
    if !kvm_is_there() {
        return;
    }
    let Some(linux) = linux() else { return };
    let first = Fixture::boot("idle", &linux);
    first.expect("flotilla-init ready");
    first.console.send_input(b"ls /sys/bus/acpi/drivers/vmgenid; echo \"driver\" seen\n");
    first.expect("driver seen");
    assert!(first.output().contains("FLOT0001:00"), "{}", first.output());
    first.machine.pause().unwrap();
    let second = Fixture::build("idle", &linux);
    transplant(&first, &second);
    second.machine.resume().unwrap();
    second.console.send_input(b"until dmesg | grep 'machine[ ]fork'; do sleep 1; done\n");
    second.expect(RESEEDED);
    // Who was saved is not told.
    first.machine.resume().unwrap();
    first.console.send_input(b"dmesg | grep -c 'machine[ ]fork'; echo \"count\" seen\n");
    first.expect("count seen");
    assert!(!first.output().contains(RESEEDED), "{}", first.output());
}
