// SPDX-License-Identifier: Apache-2.0
//! Disks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::FileSource;
use crate::id::DiskId;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DiskSpec {
    /// Unique among the disks of the machine.
    pub id: DiskId,
    /// The file or block device that holds the content.
    pub source: FileSource,
    /// How the content is stored. Never guessed: a guest could write another format's header.
    pub format: DiskFormat,
    /// Whether the guest may not write. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub read_only: bool,
    /// What the guest reads as the serial number, 1 to 20 printable ASCII characters. Default: the id, cut to 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    #[schemars(regex(pattern = r"^[!-~]{1,20}$"))]
    pub serial: Option<String>,
}

/// How the content of a disk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// Byte for byte.
    Raw,
}
