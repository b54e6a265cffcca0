// SPDX-License-Identifier: Apache-2.0
//! Whole machines with a disk, on which their guest works as a driver should.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flotilla_block::{BackingFile, BackingFormat, Qcow2, Qcow2Create, Qcow2Options, RecordedName};
use flotilla_memory::{Bytes, GuestAddress};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{ExitReason, MachineEvent, MachineState};
use flotilla_spec::{DiskSpec, SpacePolicy};
use flotilla_test_guests::Script;
use flotilla_test_guests::disk::{mark_of, write_and_read, write_what_has_grown};
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
    script_on(path, SpacePolicy::Report, &written_and_read())
}

/// The guest of [`machine`].
fn written_and_read() -> Script {
    let mut script = write_and_read(SECTORS);
    script.wait(GATE, 1);
    script
}

fn script_on(path: &Path, policy: SpacePolicy, script: &Script) -> Fixture {
    // The engine is named because a file in memory, as /tmp may be, is served by the vCPU else.
    let disk =
        serde_json::json!({ "id": "d", "source": { "path": path }, "format": "raw", "engine": "direct" });
    let mut disk: DiskSpec = serde_json::from_value(disk).unwrap();
    disk.on_no_space = policy;
    machine_with(disk, script)
}

fn machine_with(disk: DiskSpec, script: &Script) -> Fixture {
    let (mut spec, directory) = spec_with(&script.image());
    spec.disks = vec![disk];
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

/// A saved state without the ACPI timer, which goes on while a machine is paused, without the identity, which a restore makes anew,
/// and without what KVM keeps.
fn lasting(mut snapshot: Snapshot) -> Vec<(String, String)> {
    snapshot.devices.get_mut("acpi-pm").unwrap().fields["timer_start"] = 0.into();
    snapshot.devices.remove("vm-generation");
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

/// A small file system in memory, gone with this value.
struct Mount(TempDir);

impl Mount {
    /// `None`, said aloud, where this process may not mount.
    fn new(options: &str) -> Option<Self> {
        let mount = Self(TempDir::new().unwrap());
        if mount.call(options) {
            return Some(mount);
        }
        assert!(std::env::var_os("REQUIRE_KVM").is_none(), "REQUIRE_KVM is set and nothing can be mounted");
        let _ = writeln!(std::io::stderr(), "SKIPPED: this process may not mount a file system");
        None
    }

    fn call(&self, options: &str) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(self.0.path());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_machine_whose_disk_has_no_space_waits_for_its_owner() {
    if !kvm_is_there() {
        return;
    }
    let Some(mount) = Mount::new("size=64k") else { return };
    let path = mount.0.path().join("disk");
    let sparse = fs::File::create(&path).unwrap();
    sparse.set_len(u64::from(SECTORS) * SECTOR as u64).unwrap();
    let fixture = script_on(&path, SpacePolicy::Pause, &written_and_read());
    fixture.machine.boot().unwrap();
    for _ in 0..2 {
        let full = fixture.event(|event| matches!(event, MachineEvent::DiskFull { .. }));
        assert_eq!(full, MachineEvent::DiskFull { disk: "d".to_owned() });
        fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
        assert_eq!(fixture.machine.save().unwrap_err().code(), ErrorCode::MachineState, "it would be lost");
        // The second time nothing has changed, so it waits again.
        fixture.machine.resume().unwrap();
    }
    fixture.event(|event| *event == MachineEvent::State { state: MachineState::Paused });
    assert!(mount.call("remount,size=1m"));
    fixture.machine.resume().unwrap();
    open_gate(&fixture);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(marks(&path), (0..SECTORS).map(mark_of).collect::<Vec<_>>());
    let metrics = fixture.machine.metrics();
    assert_eq!((metrics["disk:d.space_waits"], metrics["disk:d.write_errors"]), (3, 0));
}

#[test]
fn a_guest_uses_what_its_disk_has_grown_by() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let path = image(&directory);
    let large = u16::try_from(2 * SECTORS).unwrap();
    let fixture = script_on(&path, SpacePolicy::Report, &write_what_has_grown(large));
    fixture.machine.boot().unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(u64::from(large) * SECTOR as u64).unwrap();
    assert_eq!(fixture.machine.refresh_disk("d").unwrap(), u64::from(large) * SECTOR as u64);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    assert_eq!(marks(&path).last(), Some(&mark_of(2 * SECTORS - 1)));
    assert_eq!(fixture.machine.refresh_disk("d").unwrap_err().code(), ErrorCode::MachineState);
}

#[test]
fn a_guest_uses_what_its_overlay_has_grown_by() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (path, base) = overlay(&directory);
    let large = u16::try_from(2 * SECTORS).unwrap();
    let size = u64::from(large) * SECTOR as u64;
    let fixture = machine_with(overlay_spec(&path, &base), &write_what_has_grown(large));
    fixture.machine.boot().unwrap();
    assert_eq!(fixture.machine.grow_disk("d", size + 1).unwrap_err().code(), ErrorCode::DiskSize);
    assert_eq!(fixture.machine.grow_disk("e", size).unwrap_err().code(), ErrorCode::DiskUnknown);
    assert_eq!(fixture.machine.grow_disk("d", size).unwrap(), size);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    drop(fixture);
    let shown = content(&directory, &path, &base, size);
    assert_eq!(marks(&shown).last(), Some(&mark_of(2 * SECTORS - 1)));
}

#[test]
fn a_disk_does_not_grow_whose_file_has_its_size_or_that_is_only_read() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let raw = machine(&image(&directory));
    let size = u64::from(SECTORS) * SECTOR as u64;
    assert_eq!(raw.machine.grow_disk("d", size).unwrap(), size, "it is as large");
    assert_eq!(raw.machine.grow_disk("d", 2 * size).unwrap_err().code(), ErrorCode::DiskFormat);
    drop(raw);
    let (path, base) = overlay(&directory);
    let mut spec = overlay_spec(&path, &base);
    spec.read_only = true;
    let before = fs::read(&path).unwrap();
    let read_only = machine_with(spec, &written_and_read());
    assert_eq!(read_only.machine.grow_disk("d", 2 * size).unwrap_err().code(), ErrorCode::DiskLocked);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_disk_that_is_not_there_or_has_shrunk_is_refused() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let path = image(&directory);
    let fixture = machine(&path);
    assert_eq!(fixture.machine.refresh_disk("e").unwrap_err().code(), ErrorCode::DiskUnknown);
    fs::File::options().write(true).open(&path).unwrap().set_len(512).unwrap();
    assert_eq!(fixture.machine.refresh_disk("d").unwrap_err().code(), ErrorCode::DiskShrunk);
}

/// An overlay on a raw file of the size that the guest works on.
fn overlay(directory: &TempDir) -> (PathBuf, PathBuf) {
    let (base, path) = (image(directory), directory.path().join("overlay"));
    let size = fs::metadata(&base).unwrap().len();
    let backing = Some((base.to_str().unwrap().to_owned(), "raw".to_owned()));
    let options = Qcow2Create { backing, ..Qcow2Create::new(size) };
    let file = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    options.write(file).unwrap();
    (path, base)
}

fn overlay_spec(path: &Path, base: &Path) -> DiskSpec {
    let backing = serde_json::json!([{ "source": { "path": base }, "format": "raw" }]);
    let disk = serde_json::json!({ "id": "d", "source": { "path": path }, "format": "qcow2", "backing": backing, "engine": "direct" });
    serde_json::from_value(disk).unwrap()
}

/// What an overlay shows, as a raw file.
fn content(directory: &TempDir, path: &Path, base: &Path, size: u64) -> PathBuf {
    let flat = directory.path().join("flat");
    let backing = RecordedName::Is(base.to_str().unwrap().to_owned());
    let backing = BackingFile {
        file: fs::File::open(base).unwrap().into(),
        format: BackingFormat::Raw,
        recorded: backing,
    };
    let options = Qcow2Options { read_only: true, ..Qcow2Options::default() };
    let disk = Qcow2::open(fs::File::open(path).unwrap(), &[backing], options).unwrap();
    let mut content = vec![0; usize::try_from(size).unwrap()];
    disk.read_at(&mut content, 0).unwrap();
    fs::write(&flat, content).unwrap();
    flat
}

/// What the guest wrote is in the image as soon as the machine is paused, and the base is as it was.
#[test]
fn a_guest_goes_on_with_its_overlay_from_machine_to_machine() {
    if !kvm_is_there() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let (mut path, base) = overlay(&directory);
    let mut fixture = machine_with(overlay_spec(&path, &base), &written_and_read());
    fixture.machine.boot().unwrap();
    fixture.expect(".");
    for copy in 0..3 {
        fixture.machine.pause().unwrap();
        let moved = directory.path().join(format!("overlay-{copy}"));
        fs::copy(&path, &moved).unwrap();
        path = moved;
        let next = machine_with(overlay_spec(&path, &base), &written_and_read());
        transplant(&fixture, &next);
        drop(fixture);
        fixture = next;
        fixture.machine.resume().unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    open_gate(&fixture);
    assert_eq!(fixture.wait().reason, ExitReason::PoweredOff);
    drop(fixture);
    assert!(fs::read(&base).unwrap().iter().all(|&byte| byte == 0), "the base was written to");
    let flat = content(&directory, &path, &base, u64::from(SECTORS) * SECTOR as u64);
    assert_eq!(marks(&flat), (0..SECTORS).map(mark_of).collect::<Vec<_>>());
}
