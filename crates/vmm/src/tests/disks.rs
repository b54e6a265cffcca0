// SPDX-License-Identifier: Apache-2.0
//! Whole machines with a disk, on which their guest works as a driver should.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_memory::{Bytes, GuestAddress};
use flotilla_spec::report::ExitReason;
use flotilla_test_guests::disk::{mark_of, write_and_read};
use tempfile::TempDir;

use super::snapshots::transplant;
use super::{Fixture, kvm_is_there, spec_with};
use crate::snapshot::Snapshot;

const SECTORS: u32 = 256;
const DOTS: usize = 32;
/// Memory that the guest leaves alone: it does not end before there is a one.
const GATE: u32 = 0x50_0000;
const SECTOR: usize = 512;

/// An empty disk image.
fn image(directory: &TempDir) -> PathBuf {
    let path = directory.path().join("disk");
    fs::write(&path, vec![0; usize::try_from(SECTORS).unwrap() * SECTOR]).unwrap();
    path
}

/// A machine whose guest writes every sector of the disk at `path`, and reads it back, then waits at the gate.
fn machine(path: &Path) -> Fixture {
    let mut script = write_and_read(SECTORS);
    script.wait(GATE, 1);
    let (mut spec, directory) = spec_with(&script.image());
    let disk = serde_json::json!([{ "id": "d", "source": { "path": path }, "format": "raw" }]);
    spec.disks = serde_json::from_value(disk).unwrap();
    // So that the disk has the first slot.
    spec.rng = false;
    Fixture::of(spec, directory)
}

fn open_gate(fixture: &Fixture) {
    fixture.machine.memory().write_obj(1_u32.to_le(), GuestAddress(GATE.into())).unwrap();
}

/// The marks at the start of each sector.
fn marks(path: &Path) -> Vec<u32> {
    let mark = |sector: &[u8]| u32::from_le_bytes(sector[..4].try_into().unwrap());
    fs::read(path).unwrap().chunks(SECTOR).map(mark).collect()
}

/// A saved state without the ACPI timer, which goes on while a machine is paused, and without what KVM keeps.
fn lasting(mut snapshot: Snapshot) -> Vec<(String, String)> {
    snapshot.devices.get_mut("acpi-pm").unwrap().fields["timer_start"] = 0.into();
    let devices = snapshot.devices.into_iter();
    devices.map(|(name, state)| (name, serde_json::to_string(&state).unwrap())).collect()
}

/// A host that refuses to bind the doorbells makes a machine slow and nothing else, so only the counters tell.
#[test]
fn doorbells_of_a_working_disk_never_leave_the_kernel() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let path = image(&directory);
    let fixture = machine(&path);
    fixture.machine.boot().unwrap();
    open_gate(&fixture);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(fixture.output(), format!("{}done\n", ".".repeat(DOTS)));
    assert_eq!(marks(&path), (0..SECTORS).map(mark_of).collect::<Vec<_>>());
    let metrics = fixture.machine.metrics();
    let of_disk = |name: &str| metrics[&format!("disk:d.{name}")];
    assert_eq!((of_disk("write_requests"), of_disk("read_requests")), (SECTORS.into(), SECTORS.into()));
    assert_eq!((of_disk("pci_doorbell_exits"), of_disk("pci_doorbell_failures")), (0, 0), "{metrics:#?}");
}

/// Each machine is saved at another point of the work, most likely in the middle of a request. The disk moves as well: two
/// machines never hold the same one.
#[test]
fn a_guest_goes_on_with_its_disk_from_machine_to_machine() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let mut path = image(&directory);
    let mut fixture = machine(&path);
    fixture.machine.boot().unwrap();
    fixture.expect(".");
    let mut output = String::new();
    for copy in 0..4 {
        fixture.machine.pause().unwrap();
        let saved = fixture.machine.save().unwrap();
        output += &fixture.output();
        let moved = directory.path().join(format!("disk-{copy}"));
        fs::copy(&path, &moved).unwrap();
        path = moved;
        let next = machine(&path);
        transplant(&fixture, &next);
        let again = next.machine.save().unwrap();
        assert_eq!(lasting(again), lasting(saved), "what was saved is saved again");
        drop(fixture);
        fixture = next;
        fixture.machine.resume().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    open_gate(&fixture);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(output + &fixture.output(), format!("{}done\n", ".".repeat(DOTS)));
    assert_eq!(marks(&path), (0..SECTORS).map(mark_of).collect::<Vec<_>>());
    let metrics = fixture.machine.metrics();
    assert_eq!((metrics["disk:d.pci_doorbell_exits"], metrics["disk:d.pci_doorbell_failures"]), (0, 0));
}
