// SPDX-License-Identifier: Apache-2.0
//! What a profile demands.

use super::Faults;
use crate::code::ErrorCode;
use crate::{MachineSpec, Profile};

pub(super) fn check_profile(faults: &mut Faults, spec: &MachineSpec) {
    if spec.profile == Profile::Standard && spec.acpi == Some(false) {
        let message = "A machine of the profile standard is described by ACPI tables";
        faults.add(ErrorCode::SpecProfileConflict, "$.acpi", message);
    }
    if !spec.numa.is_empty() && !spec.has_acpi() {
        let message = "Only ACPI tables tell a guest of nodes, and this machine has none: set acpi to true";
        faults.add(ErrorCode::SpecProfileConflict, "$.numa", message);
    }
    if spec.watchdog.is_some() && !spec.has_acpi() {
        let message =
            "Only an ACPI table tells a guest of its watchdog, and this machine has none: set acpi to true";
        faults.add(ErrorCode::SpecProfileConflict, "$.watchdog", message);
    }
}
