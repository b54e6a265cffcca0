// SPDX-License-Identifier: Apache-2.0
//! A saved machine goes on in another one.

use vm_memory::{Bytes, GuestMemoryBackend, GuestMemoryRegion};

use std::sync::Arc;

use flotilla_memory::GuestMemory;
use flotilla_spec::report::{ExitReason, MachineState};

use super::{Fixture, LIMIT, kvm_is_there};
use crate::snapshot::Snapshot;

fn copy_memory(from: &GuestMemory, to: &GuestMemory) {
    for region in from.iter() {
        let mut bytes = vec![0; usize::try_from(region.len()).unwrap()];
        from.read_slice(&mut bytes, region.start_addr()).unwrap();
        to.write_slice(&bytes, region.start_addr()).unwrap();
    }
}

/// Moves a paused machine into a fresh one, through the text form of its state.
pub(super) fn transplant(from: &Fixture, to: &Fixture) {
    let text = serde_json::to_string(&from.machine.save().unwrap()).unwrap();
    let (source, target): (Arc<GuestMemory>, Arc<GuestMemory>) = (from.machine.memory(), to.machine.memory());
    copy_memory(&source, &target);
    to.machine.restore(serde_json::from_str::<Snapshot>(&text).unwrap()).unwrap();
    assert_eq!(to.machine.info().state, MachineState::Paused);
}

#[test]
fn a_guest_goes_on_where_it_was_saved() {
    if !kvm_is_there() {
        return;
    }
    let first = Fixture::boot("echo", |_| ());
    first.expect("ready\n");
    first.console.send_input(b"BEFORE");
    first.expect("BEFORE");
    first.machine.pause().unwrap();
    let second = Fixture::build("echo", |_| ());
    transplant(&first, &second);
    second.machine.resume().unwrap();
    second.console.send_input(b"AFTERo");
    assert_eq!(second.wait().reason, ExitReason::PoweredOff);
    assert_eq!(second.output(), "AFTER");
    // The first one is as it was.
    first.machine.resume().unwrap();
    first.console.send_input(b"o");
    assert_eq!(first.machine.wait(Some(LIMIT)).unwrap().reason, ExitReason::PoweredOff);
}

#[test]
fn a_restored_guest_can_be_reset_and_paused() {
    if !kvm_is_there() {
        return;
    }
    let first = Fixture::boot("ticker", |spec| spec.cpus = 2);
    first.expect("ready\n..");
    first.machine.pause().unwrap();
    let second = Fixture::build("ticker", |spec| spec.cpus = 2);
    transplant(&first, &second);
    second.machine.resume().unwrap();
    second.expect("..");
    second.machine.pause().unwrap();
    second.machine.resume().unwrap();
    second.machine.reset().unwrap();
    second.expect("ready\n");
}

#[test]
fn a_snapshot_of_another_machine_is_refused_and_harms_nothing() {
    if !kvm_is_there() {
        return;
    }
    let first = Fixture::boot("idle", |_| ());
    first.expect("ready\n");
    first.machine.pause().unwrap();
    let snapshot = first.machine.save().unwrap();
    for (name, machine) in [
        ("cpus", Fixture::build("idle", |spec| spec.cpus = 2)),
        ("memory", Fixture::build("idle", |spec| spec.memory = flotilla_spec::MemorySize(64 << 20))),
        ("devices", Fixture::build("idle", |spec| spec.rng = false)),
    ] {
        assert!(machine.machine.restore(snapshot.clone()).is_err(), "{name}");
        machine.machine.boot().unwrap();
        machine.expect("ready\n");
    }
    assert!(first.machine.restore(snapshot).is_err());
}
