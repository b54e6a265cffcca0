// SPDX-License-Identifier: Apache-2.0
//! Whole machines with disks that are memory. Their guests, without a driver, do not look at them; a real Linux does elsewhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::ExitReason;
use flotilla_spec::{DiskSpec, MachineSpec, Profile};
use tempfile::TempDir;

use super::snapshots::transplant;
use super::{Fixture, kvm_is_there, spec_of, valid};
use crate::error::BuildError;
use crate::{Console, Machine, MachineOptions, Resources};

const MIB: u64 = 1 << 20;

fn file(directory: &TempDir, name: &str, len: u64) -> PathBuf {
    let path = directory.path().join(name);
    File::create(&path).unwrap().set_len(len).unwrap();
    path
}

fn disk(id: &str, path: &Path, read_only: bool) -> DiskSpec {
    let disk = serde_json::json!({
        "id": id, "source": { "path": path }, "format": "raw", "attach": "pmem", "readOnly": read_only,
    });
    serde_json::from_value(disk).unwrap()
}

/// Two of them, and a disk by requests between.
fn with_disks(directory: &TempDir) -> impl Fn(&mut MachineSpec) {
    let read = disk("root", &file(directory, "root", 3 * MIB + 512), true);
    let write = disk("data", &file(directory, "data", 4 * MIB), false);
    let other = serde_json::json!({
        "id": "block", "source": { "path": file(directory, "block", MIB) }, "format": "raw", "readOnly": true,
    });
    let disks = vec![read, serde_json::from_value(other).unwrap(), write];
    move |spec| spec.disks.clone_from(&disks)
}

#[test]
fn machines_have_them_and_share_those_that_are_only_read() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let shared = file(&directory, "root", 3 * MIB + 512);
    for profile in [Profile::Standard, Profile::Micro] {
        let boot = |name: &str| {
            let own = file(&directory, name, 2 * MIB);
            Fixture::boot("button", |spec| {
                spec.profile = profile;
                spec.acpi = Some(true);
                spec.disks = vec![disk("root", &shared, true), disk("own", &own, false)];
            })
        };
        let both = [boot("first"), boot("second")];
        for fixture in &both {
            fixture.expect("ready\n");
            let metrics = fixture.machine.metrics();
            assert_eq!(
                (metrics["pmem:root.mapped_bytes"], metrics["pmem:own.mapped_bytes"]),
                (4 * MIB, 2 * MIB)
            );
            // As large as it was when it was mapped, whatever became of the file; and no engine grows it.
            assert_eq!(fixture.machine.refresh_disk("own").unwrap(), 2 * MIB);
            assert!(fixture.machine.grow_disk("own", 4 * MIB).is_err());
            fixture.machine.power_button().unwrap();
            assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
        }
    }
}

#[test]
fn a_machine_with_them_goes_on_where_it_was_saved() {
    if !kvm_is_there() {
        return;
    }
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    for profile in [Profile::Standard, Profile::Micro] {
        let change = |directory| {
            let disks = with_disks(directory);
            move |spec: &mut MachineSpec| {
                spec.profile = profile;
                spec.acpi = Some(true);
                disks(spec);
            }
        };
        let first = Fixture::boot("echo", change(&directories[0]));
        first.expect("ready\n");
        first.machine.pause().unwrap();
        let second = Fixture::build("echo", change(&directories[1]));
        transplant(&first, &second);
        second.machine.resume().unwrap();
        second.console.send_input(b"o");
        second.wait();
        // Another size would be another machine: the guest has the old one in its page tables.
        let third = Fixture::build("echo", |spec| {
            change(&directories[1])(spec);
            spec.disks[0] = disk("root", &file(&directories[1], "other", 9 * MIB), true);
        });
        let text = serde_json::to_string(&first.machine.save().unwrap()).unwrap();
        let refused = third.machine.restore(serde_json::from_str(&text).unwrap()).unwrap_err();
        assert!(crate::describe(&refused).contains("size"), "{}", crate::describe(&refused));
    }
}

/// Why a machine with this disk is not built.
fn refusal(disk: DiskSpec) -> (ErrorCode, String) {
    let (mut spec, _directory) = spec_of("idle");
    spec.disks = vec![disk];
    let spec = valid(spec);
    let resources = Resources::open(&spec).unwrap();
    let options = MachineOptions::new(std::sync::Arc::new(crate::IgnoreEvents), Console::new());
    match Machine::build(spec, resources, options) {
        Err(BuildError::Resource(fault)) => (fault.code, fault.path),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_mapped_is_refused_by_field() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let refused = |len, read_only| refusal(disk("d", &file(&directory, "d", len), read_only));
    assert_eq!(refused(0, true), (ErrorCode::DiskSize, "$.disks[0].source".to_owned()));
    assert_eq!(refused(3 * MIB, false), (ErrorCode::DiskPmemSize, "$.disks[0].source".to_owned()));
    let reading = file(&directory, "d", 2 * MIB);
    let (mut spec, _kept) = spec_of("idle");
    spec.disks = vec![disk("d", &reading, true)];
    let resources = Resources::open(&valid(spec.clone())).unwrap();
    // Somebody passed a descriptor that is open for reading alone.
    spec.disks[0].read_only = false;
    let options = MachineOptions::new(std::sync::Arc::new(crate::IgnoreEvents), Console::new());
    let Err(BuildError::Resource(fault)) = Machine::build(valid(spec), resources, options) else { panic!() };
    assert_eq!((fault.code, fault.path.as_str()), (ErrorCode::DiskPmemMap, "$.disks[0].source"));
    fs::remove_file(reading).unwrap();
}
