// SPDX-License-Identifier: Apache-2.0
//! Disks.

use std::collections::HashSet;

use super::{Faults, check_file, check_id, check_unique};
use crate::DiskSpec;
use crate::code::ErrorCode;

/// The longest disk serial in bytes (virtio 1.2 §5.2.6, `VIRTIO_BLK_T_GET_ID`).
pub const MAX_SERIAL: usize = 20;
/// The most queues of a disk.
pub const MAX_DISK_QUEUES: u16 = 16;
/// What a block may have in bytes.
pub(super) const BLOCK_SIZES: [u32; 2] = [512, 4096];
/// The most disks of a machine.
pub const MAX_DISKS: usize = 16;

pub(super) fn check_disks(faults: &mut Faults, disks: &[DiskSpec]) {
    if disks.len() > MAX_DISKS {
        let message = format!("{} disks are more than {MAX_DISKS}", disks.len());
        faults.add(ErrorCode::SpecTooManyDisks, "$.disks", message);
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
        if let Some(serial) = &disk.serial {
            check_serial(faults, &format!("{path}.serial"), serial, &mut serials);
        }
    }
}

fn check_serial<'a>(faults: &mut Faults, path: &str, serial: &'a str, seen: &mut HashSet<&'a str>) {
    let length_fits = (1..=MAX_SERIAL).contains(&serial.len());
    if !length_fits || !serial.bytes().all(|byte| byte.is_ascii_graphic()) {
        faults.add(ErrorCode::SpecSerialInvalid, path, "Serial is not 1 to 20 printable ASCII characters");
    }
    check_unique(faults, ErrorCode::SpecSerialDuplicate, path, serial, seen);
}
