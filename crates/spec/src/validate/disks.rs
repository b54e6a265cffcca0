// SPDX-License-Identifier: Apache-2.0
//! Disks.

use std::collections::HashSet;

use super::{Faults, check_file, check_id, check_unique};
use crate::code::ErrorCode;
use crate::{BackingSpec, DiskAttachment, DiskCache, DiskEngine, DiskFormat, DiskSpec, SpacePolicy};

/// The longest disk serial in bytes (virtio 1.2 §5.2.6, `VIRTIO_BLK_T_GET_ID`).
pub const MAX_SERIAL: usize = 20;
/// The most queues of a disk.
pub const MAX_DISK_QUEUES: u16 = 16;
/// What a block may have in bytes.
pub(super) const BLOCK_SIZES: [u32; 2] = [512, 4096];
/// The most disks of a machine.
pub const MAX_DISKS: usize = 16;
/// The most backing files of a disk.
pub const MAX_BACKING: usize = 16;
/// The most backing files of a machine: each is a descriptor that is passed to the worker.
pub const MAX_BACKING_IN_ALL: usize = 32;
/// The longest name of a backing file in bytes (QEMU docs/interop/qcow2, `backing_file_size`).
const MAX_NAME: usize = 1023;

pub(super) fn check_disks(faults: &mut Faults, disks: &[DiskSpec]) {
    if disks.len() > MAX_DISKS {
        let message = format!("{} disks are more than {MAX_DISKS}", disks.len());
        faults.add(ErrorCode::SpecTooManyDisks, "$.disks", message);
    }
    let backing: usize = disks.iter().map(|disk| disk.backing.len()).sum();
    if backing > MAX_BACKING_IN_ALL {
        let message = format!("{backing} backing files in one machine are more than {MAX_BACKING_IN_ALL}");
        faults.add(ErrorCode::SpecBackingInvalid, "$.disks", message);
    }
    let mut ids = HashSet::new();
    let mut serials = HashSet::new();
    for (index, disk) in disks.iter().enumerate() {
        let path = format!("$.disks[{index}]");
        check_id(faults, &path, disk.id.as_str(), &mut ids);
        check_file(faults, &format!("{path}.source"), &disk.source);
        if disk.queues.is_some_and(|queues| !(1..=MAX_DISK_QUEUES).contains(&queues)) {
            let message = format!("Number of queues is not 1 to {MAX_DISK_QUEUES}");
            faults.add(ErrorCode::SpecDiskQueuesInvalid, format!("{path}.queues"), message);
        }
        if disk.block_size.is_some_and(|size| !BLOCK_SIZES.contains(&size)) {
            let message = "Block size is neither 512 nor 4096";
            faults.add(ErrorCode::SpecBlockSizeInvalid, format!("{path}.blockSize"), message);
        }
        check_backing(faults, &format!("{path}.backing"), disk);
        if disk.attach == DiskAttachment::Pmem {
            check_pmem(faults, &path, disk);
        }
        if let Some(serial) = &disk.serial {
            check_serial(faults, &format!("{path}.serial"), serial, &mut serials);
        }
    }
}

/// What is mapped knows no requests, and so nothing that tunes them.
fn check_pmem(faults: &mut Faults, path: &str, disk: &DiskSpec) {
    let given = [
        ("format", disk.format != DiskFormat::Raw),
        ("serial", disk.serial.is_some()),
        ("queues", disk.queues.is_some()),
        ("cache", disk.cache != DiskCache::default()),
        ("engine", disk.engine != DiskEngine::default()),
        ("blockSize", disk.block_size.is_some()),
        ("onNoSpace", disk.on_no_space != SpacePolicy::default()),
        ("throttle", disk.throttle.is_some()),
    ];
    for (option, _) in given.into_iter().filter(|(_, given)| *given) {
        let message = "Disk is mapped as memory, which is raw and has no requests";
        faults.add(ErrorCode::SpecPmemConflict, format!("{path}.{option}"), message);
    }
}

fn check_backing(faults: &mut Faults, path: &str, disk: &DiskSpec) {
    let mut above = disk.format;
    if disk.backing.len() > MAX_BACKING {
        let message = format!("{} backing files are more than {MAX_BACKING}", disk.backing.len());
        faults.add(ErrorCode::SpecBackingInvalid, path, message);
    }
    for (index, BackingSpec { source, format, name }) in disk.backing.iter().enumerate() {
        let path = format!("{path}[{index}]");
        check_file(faults, &format!("{path}.source"), source);
        if above == DiskFormat::Raw {
            faults.add(
                ErrorCode::SpecBackingInvalid,
                &path,
                "File above is raw, and a raw file has no backing file",
            );
        }
        let is_name = |name: &String| (1..=MAX_NAME).contains(&name.len()) && !name.contains('\0');
        if !name.as_ref().is_none_or(is_name) {
            let message = "Name is not 1 to 1023 bytes without NUL";
            faults.add(ErrorCode::SpecBackingInvalid, format!("{path}.name"), message);
        }
        above = *format;
    }
}

fn check_serial<'a>(faults: &mut Faults, path: &str, serial: &'a str, seen: &mut HashSet<&'a str>) {
    let length_fits = (1..=MAX_SERIAL).contains(&serial.len());
    if !length_fits || !serial.bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.add(ErrorCode::SpecSerialInvalid, path, "Serial is not 1 to 20 printable ASCII characters");
    }
    check_unique(faults, ErrorCode::SpecSerialDuplicate, path, serial, seen);
}
