// SPDX-License-Identifier: Apache-2.0
//! What is booted.

use super::{Faults, check_file};
use crate::BootSpec;
use crate::code::ErrorCode;

/// The longest kernel command line in bytes, without the NUL that ends it.
pub const MAX_COMMAND_LINE: usize = 4095;

pub(super) fn check_boot(faults: &mut Faults, boot: &BootSpec) {
    check_file(faults, "$.boot.kernel", &boot.kernel);
    if let Some(initrd) = &boot.initrd {
        check_file(faults, "$.boot.initrd", initrd);
    }
    let line = &boot.command_line;
    if line.len() > MAX_COMMAND_LINE {
        let message = format!("Command line of {} bytes is longer than {MAX_COMMAND_LINE}", line.len());
        faults.add(ErrorCode::SpecCommandLineInvalid, "$.boot.commandLine", message);
    }
    if line.contains('\0') {
        faults.add(ErrorCode::SpecCommandLineInvalid, "$.boot.commandLine", "Command line holds a NUL");
    }
}
