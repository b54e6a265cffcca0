// SPDX-License-Identifier: Apache-2.0
//! What cannot be opened is named.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use flotilla_net::TapError;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{DiskSpec, MachineSpec, Violation};

use super::{kvm_is_there, spec_of, valid};
use crate::Resources;
use crate::resources::{disk_backend, tap_fault};

fn fault(change: impl FnOnce(&mut serde_json::Value, &Path)) -> Violation {
    let (spec, directory) = spec_of("hello");
    let mut json = serde_json::to_value(spec).unwrap();
    change(&mut json, directory.path());
    let spec: MachineSpec = serde_json::from_value(json).unwrap();
    Resources::open(&valid(spec)).unwrap_err()
}

fn disk(path: impl AsRef<Path>) -> serde_json::Value {
    serde_json::json!([{ "id": "root", "format": "raw", "source": { "path": path.as_ref() } }])
}

#[test]
fn a_fault_names_code_path_and_remedy() {
    let missing = fault(|spec, _| spec["boot"]["kernel"]["path"] = "/nowhere/kernel".into());
    assert_eq!((missing.code, missing.path.as_str()), (ErrorCode::FileMissing, "$.boot.kernel"));
    assert!(missing.message.contains("/nowhere/kernel") && !missing.remedy.is_empty(), "{missing}");

    let directory = fault(|spec, directory| spec["boot"]["kernel"]["path"] = directory.to_str().into());
    assert_eq!((directory.code, directory.path.as_str()), (ErrorCode::FileNotRegular, "$.boot.kernel"));

    let initrd = fault(|spec, _| spec["boot"]["initrd"] = serde_json::json!({ "path": "/nowhere" }));
    assert_eq!((initrd.code, initrd.path.as_str()), (ErrorCode::FileMissing, "$.boot.initrd"));

    let absent = fault(|spec, directory| spec["disks"] = disk(directory.join("absent")));
    assert_eq!((absent.code, absent.path.as_str()), (ErrorCode::FileMissing, "$.disks[0].source"));

    let device = fault(|spec, _| spec["disks"] = disk("/dev/null"));
    assert_eq!((device.code, device.path.as_str()), (ErrorCode::FileNotRegular, "$.disks[0].source"));

    let tap = serde_json::json!([{ "id": "net0", "tap": { "name": "flt-absent0" } }]);
    let tap = fault(|spec, _| spec["interfaces"] = tap);
    assert_eq!((tap.code, tap.path.as_str()), (ErrorCode::TapMissing, "$.interfaces[0].tap"));

    let serial = fault(|spec, _| spec["serial"] = serde_json::json!({ "file": { "path": "/nowhere/log" } }));
    assert_eq!((serial.code, serial.path.as_str()), (ErrorCode::FileMissing, "$.serial.file"));

    let passed = fault(|spec, _| spec["boot"]["kernel"] = serde_json::json!({ "descriptor": 1 }));
    assert_eq!((passed.code, passed.path.as_str()), (ErrorCode::SpecDescriptorInvalid, "$.boot.kernel"));
}

#[test]
fn a_disk_of_another_machine_is_locked() {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(1 << 20).unwrap();
    let other = File::options().read(true).write(true).open(image.path()).unwrap();
    flotilla_block::lock(&other, flotilla_block::LockKind::Exclusive).unwrap();
    let locked = fault(|spec, _| spec["disks"] = disk(image.path()));
    assert_eq!((locked.code, locked.path.as_str()), (ErrorCode::DiskLocked, "$.disks[0].source"));
}

#[test]
fn descriptors_keep_their_order() {
    if !kvm_is_there() {
        return;
    }
    let (spec, directory) = spec_of("hello");
    let mut json = serde_json::to_value(spec).unwrap();
    for name in ["one", "two"] {
        File::create(directory.path().join(name)).unwrap().set_len(4096).unwrap();
    }
    json["disks"] = disk(directory.path().join("one"));
    json["boot"]["initrd"] = serde_json::json!({ "path": directory.path().join("two") });
    json["serial"] = serde_json::json!({ "file": { "path": directory.path().join("log") } });
    json["vsock"] = serde_json::json!({ "socket": { "path": directory.path().join("v") } });
    let spec = valid(serde_json::from_value(json).unwrap());
    let resources = Resources::open(&spec).unwrap();
    let numbers = (resources.kvm.as_raw_fd(), resources.disks[0].as_raw_fd());
    let descriptors = resources.into_descriptors().unwrap();
    assert_eq!(descriptors.len(), 6);
    let again = Resources::from_descriptors(&spec, descriptors).unwrap();
    assert_eq!((again.kvm.as_raw_fd(), again.disks[0].as_raw_fd()), numbers);
    let mut short = again.into_descriptors().unwrap();
    short.pop();
    let fault = Resources::from_descriptors(&spec, short).unwrap_err();
    assert_eq!(fault.code, ErrorCode::SpecDescriptorInvalid);
}

#[test]
fn back_ends_keep_their_codes() {
    let image = tempfile::NamedTempFile::new().unwrap();
    image.as_file().set_len(100).unwrap();
    let file = File::options().read(true).write(true).open(image.path()).unwrap();
    let fault = |spec: serde_json::Value, file: &File| {
        let spec: DiskSpec = serde_json::from_value(spec).unwrap();
        let backing = spec.backing.iter().map(|_| file.try_clone().unwrap()).collect();
        let odd = disk_backend(&spec, file.try_clone().unwrap(), backing, "$.disks[0]").err().unwrap();
        (odd.code, odd.path)
    };
    let source = serde_json::json!({ "path": image.path() });
    let raw = serde_json::json!({ "id": "d", "source": source, "format": "raw" });
    assert_eq!(fault(raw, &file), (ErrorCode::DiskSize, "$.disks[0].source".to_owned()));
    let qcow2 = serde_json::json!({ "id": "d", "source": source, "format": "qcow2" });
    assert_eq!(fault(qcow2.clone(), &file), (ErrorCode::DiskFormat, "$.disks[0].source".to_owned()));
    flotilla_block::Qcow2Create::new(1 << 20).write(file.try_clone().unwrap()).unwrap();
    let mut based = qcow2;
    based["backing"] = serde_json::json!([{ "source": source, "format": "raw" }]);
    assert_eq!(fault(based, &file), (ErrorCode::DiskBacking, "$.disks[0].backing".to_owned()));
    let name = || "tap0".to_owned();
    for (error, code) in [
        (TapError::Denied { name: name() }, ErrorCode::TapDenied),
        (TapError::NotTap { name: name() }, ErrorCode::TapUnsuitable),
        (TapError::Exists { name: name() }, ErrorCode::TapExists),
    ] {
        assert_eq!(tap_fault(&error, "$").code, code);
    }
}
