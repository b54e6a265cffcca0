// SPDX-License-Identifier: Apache-2.0
//! The kernel command line.

use std::fmt::Write;

use crate::error::{BootError, CommandLineProblem};
use crate::layout::{COMMAND_LINE, MmioSlot};
use crate::piece::Piece;

/// The longest command line of a kernel that does not state its own limit (x86 `COMMAND_LINE_SIZE`, less the end).
pub(crate) const DEFAULT_MAX: u64 = 2047;

/// What a machine without ACPI and PCI does not have. Linux would look for all of it, for hundreds of exits, and complain
/// (`Documentation/admin-guide/kernel-parameters.txt`). The keyboard controller is there, for its reset line.
const ABSENT: &str = "acpi=off pci=off i8042.nokbd i8042.noaux ";

/// The command line of a kernel that learns of virtio-mmio devices by it (Linux, `drivers/virtio/virtio_mmio.c`), and of what is not there.
/// All this comes first: of two words about one thing the later counts, and what follows ` -- ` is not for the kernel.
pub(crate) fn of_a_bare_machine(devices: &[MmioSlot], command_line: &str) -> String {
    let mut line = ABSENT.to_owned();
    for MmioSlot { address, line: interrupt } in devices {
        // Writing to a string cannot fail.
        let _ = write!(line, "virtio_mmio.device=4K@{address:#x}:{interrupt} ");
    }
    line.push_str(command_line);
    line
}

/// Checks the command line against the kernel's limit in bytes, and places it with its terminator.
pub(crate) fn place(command_line: &str, max: u64) -> Result<Piece, BootError> {
    let max = max.min(COMMAND_LINE.len - 1);
    let len = command_line.len() as u64;
    if len > max {
        return Err(BootError::CommandLine { problem: CommandLineProblem::TooLong { len, max } });
    }
    let control = command_line.bytes().position(|byte| byte.is_ascii_control() && byte != b'\t');
    if let Some(position) = control {
        let problem = CommandLineProblem::ControlCharacter { position: position as u64 };
        return Err(BootError::CommandLine { problem });
    }
    let mut data = command_line.as_bytes().to_vec();
    data.push(0);
    Ok(Piece::Bytes { what: "command line", address: COMMAND_LINE.start, data })
}
