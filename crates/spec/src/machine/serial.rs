// SPDX-License-Identifier: Apache-2.0
//! Where serial ports lead.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::FileSource;

/// Where a serial port leads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase")]
pub enum SerialSpec {
    /// To the console of the machine, which keeps the last output and serves readers and a writer.
    #[default]
    Console,
    /// To the terminal of the process that runs the machine.
    Stdio,
    /// Nowhere.
    Null,
    /// To a file, output only.
    File(FileSource),
}
