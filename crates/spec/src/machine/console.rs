// SPDX-License-Identifier: Apache-2.0
//! The console device.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::MAX_CONSOLE_PORTS;

/// A virtio console device: a terminal, `hvc0` in Linux, whose size follows that of its writer, and byte streams.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsoleSpec {
    /// Byte streams between a program of the guest and one of the host at a time, at most 15. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ConsolePortSpec>>", optional)]
    #[schemars(length(max = MAX_CONSOLE_PORTS))]
    pub ports: Vec<ConsolePortSpec>,
}

impl ConsoleSpec {
    /// The name by which the host knows the terminal.
    pub const TERMINAL: &str = "hvc0";
}

/// A byte stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConsolePortSpec {
    /// Its name, `/dev/virtio-ports/NAME` in a Linux guest with udev: 1 to 64 letters, digits, '.', '_' or '-', the first a letter
    /// or digit; unique in the machine, and not `hvc0`.
    #[schemars(pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub name: String,
}
