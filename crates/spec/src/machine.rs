// SPDX-License-Identifier: Apache-2.0
//! The specification itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::id::{DiskId, InterfaceId};
use crate::{FileSource, MacAddress, MemorySize, TapSource};

/// What a machine shall be. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineSpec {
    /// Number of virtual CPUs, 1 to 32.
    pub cpus: u32,
    /// Guest memory in bytes: a multiple of 4096, at least 16 MiB, at most what the host has.
    pub memory: MemorySize,
    /// What the machine boots.
    pub boot: BootSpec,
    /// Disks in the order the guest sees them, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<DiskSpec>>", optional)]
    pub disks: Vec<DiskSpec>,
    /// Network interfaces in the order the guest sees them, at most 8. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<InterfaceSpec>>", optional)]
    pub interfaces: Vec<InterfaceSpec>,
    /// Where the first serial port leads. Default: the console of the machine.
    #[serde(default)]
    #[ts(as = "Option<SerialSpec>", optional)]
    pub serial: SerialSpec,
    /// Whether the machine has a virtio entropy device. Default: true.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    pub rng: bool,
    /// What follows when the guest resets the machine. Default: restart.
    #[serde(default)]
    #[ts(as = "Option<RebootPolicy>", optional)]
    pub on_reboot: RebootPolicy,
    /// What follows when the guest kernel reports a panic. Default: stop.
    #[serde(default)]
    #[ts(as = "Option<CrashPolicy>", optional)]
    pub on_panic: CrashPolicy,
    /// What follows a triple fault of a virtual CPU. Default: stop.
    #[serde(default)]
    #[ts(as = "Option<CrashPolicy>", optional)]
    pub on_triple_fault: CrashPolicy,
}

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
    pub serial: Option<String>,
}

/// How the content of a disk is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum DiskFormat {
    /// Byte for byte.
    Raw,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InterfaceSpec {
    /// Unique among the interfaces of the machine.
    pub id: InterfaceId,
    /// The tap interface of the host that carries the frames.
    pub tap: TapSource,
    /// The MAC address that the guest sees. Default: chosen by the guest's driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mac: Option<MacAddress>,
}

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

/// What follows a guest reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum RebootPolicy {
    /// The machine starts again in the same process.
    #[default]
    Restart,
    /// The machine stops.
    Stop,
}

/// What follows a guest crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum CrashPolicy {
    /// The machine stops.
    #[default]
    Stop,
    /// The machine starts again in the same process.
    Restart,
    /// The machine stays paused, to be looked at.
    Pause,
}

fn yes() -> bool {
    true
}
