// SPDX-License-Identifier: Apache-2.0
//! Folders of the host.

use std::collections::HashSet;

use super::{Faults, check_file, check_unique};
use crate::code::ErrorCode;
use crate::id::{self, MAX_SHARE_TAG};
use crate::{FileSource, MachineSpec, MemoryBacking, Profile};

/// The most shared folders of a machine.
pub const MAX_SHARES: usize = 4;

/// Places of virtio devices on the PCI bus.
const PLACES: usize = 30;

pub(super) fn check_shares(faults: &mut Faults, spec: &MachineSpec) {
    let singles = [spec.rng, spec.vsock.is_some(), spec.balloon.is_some(), spec.console.is_some()];
    let singles = singles.into_iter().filter(|there| *there).count();
    let devices = spec.disks.len() + spec.interfaces.len() + spec.shares.len() + singles;
    if !spec.shares.is_empty() && spec.profile == Profile::Standard && devices > PLACES {
        let message =
            format!("{devices} disks, interfaces, shared folders and other devices are more than {PLACES}");
        faults.add(ErrorCode::SpecShareInvalid, "$.shares", message);
    }
    if spec.shares.len() > MAX_SHARES {
        let message = format!("{} shared folders are more than {MAX_SHARES}", spec.shares.len());
        faults.add(ErrorCode::SpecShareInvalid, "$.shares", message);
    }
    let mut tags = HashSet::new();
    for (index, share) in spec.shares.iter().enumerate() {
        let path = format!("$.shares[{index}]");
        let tag = share.tag.as_str();
        if !id::is_valid(tag) || tag.len() > MAX_SHARE_TAG {
            faults.add(ErrorCode::SpecShareInvalid, format!("{path}.tag"), "Text cannot be a tag");
        }
        check_unique(faults, ErrorCode::SpecIdDuplicate, &format!("{path}.tag"), tag, &mut tags);
        check_file(faults, &format!("{path}.source"), &share.source);
        if let FileSource::Path(folder) = &share.source
            && !folder.as_os_str().is_empty()
            && !folder.is_absolute()
        {
            let message = "Path of a shared folder does not begin with a '/'";
            faults.add(ErrorCode::SpecPathInvalid, format!("{path}.source.path"), message);
        }
    }
    let options = &spec.memory_options;
    if !spec.shares.is_empty() && options.mergeable && options.backing == MemoryBacking::Anonymous {
        let message = "The memory of a machine with shared folders is shared, and the kernel merges private memory only";
        faults.add(ErrorCode::SpecMemoryConflict, "$.memoryOptions.mergeable", message);
    }
}
