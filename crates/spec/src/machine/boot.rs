// SPDX-License-Identifier: Apache-2.0
//! What a machine boots.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{FileSource, MAX_COMMAND_LINE};

/// What a machine boots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BootSpec {
    /// The kernel: an ELF vmlinux or a bzImage.
    pub kernel: FileSource,
    /// The initial RAM disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub initrd: Option<FileSource>,
    /// The kernel command line, at most 4095 bytes. Default: empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[ts(as = "Option<String>", optional)]
    #[schemars(length(max = MAX_COMMAND_LINE), regex(pattern = r"^[^\u0000]*$"))]
    pub command_line: String,
    /// How the kernel is entered. Default: what the file offers.
    #[serde(default)]
    #[ts(as = "Option<BootProtocol>", optional)]
    pub protocol: BootProtocol,
}

/// How a kernel is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum BootProtocol {
    /// By PVH where the file has its note, else by the 64-bit Linux protocol.
    #[default]
    Auto,
    /// By the PVH entry point of an ELF file.
    Pvh,
    /// By the 64-bit Linux boot protocol.
    Linux,
}
