// SPDX-License-Identifier: Apache-2.0
//! The console device.

use std::collections::HashSet;

use super::Faults;
use crate::code::ErrorCode;
use crate::{ConsoleSpec, id};

/// The most ports that a console device has beside its terminal.
pub const MAX_CONSOLE_PORTS: usize = 15;

pub(super) fn check_console(faults: &mut Faults, console: &ConsoleSpec) {
    let count = console.ports.len();
    if count > MAX_CONSOLE_PORTS {
        let message = format!("{count} ports are more than {MAX_CONSOLE_PORTS}");
        faults.add(ErrorCode::SpecConsoleInvalid, "$.console.ports", message);
    }
    let mut seen = HashSet::from([ConsoleSpec::TERMINAL]);
    for (index, port) in console.ports.iter().enumerate() {
        let path = format!("$.console.ports[{index}].name");
        if !id::is_valid(&port.name) {
            faults.add(ErrorCode::SpecConsoleInvalid, &path, "Text cannot be the name of a port");
        }
        if !seen.insert(&port.name) {
            faults.add(ErrorCode::SpecConsoleInvalid, &path, "Name is taken by the terminal or another port");
        }
    }
}
