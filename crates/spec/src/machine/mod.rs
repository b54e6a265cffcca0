// SPDX-License-Identifier: Apache-2.0
//! The specification itself: a file for each part of a machine.

mod boot;
mod cpu;
mod disk;
mod interface;
mod memory;
mod policy;
mod profile;
mod serial;
pub(crate) mod vsock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{MAX_CPUS, MAX_DISKS, MAX_INTERFACES, MAX_NUMA_NODES, MemorySize};

pub use boot::{BootProtocol, BootSpec};
pub use cpu::{CpuModel, CpuSpec, PinSpec, TopologySpec};
pub use disk::{BackingSpec, DiskCache, DiskEngine, DiskFormat, DiskSpec, SpacePolicy};
pub use interface::{InterfaceBackend, InterfaceSpec, LinkState};
pub use memory::{MemoryBacking, MemoryOptions, NumaNodeSpec, TransparentHugepages};
pub use policy::{CrashPolicy, RebootPolicy};
pub use profile::Profile;
pub use serial::SerialSpec;
pub use vsock::VsockSpec;

/// What a machine shall be. Unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineSpec {
    /// Number of virtual CPUs, 1 to 64.
    #[schemars(range(min = 1, max = MAX_CPUS))]
    pub cpus: u32,
    /// What they are like, and where they run. Default: as the host's, anywhere.
    #[serde(default, skip_serializing_if = "CpuSpec::is_default")]
    #[ts(as = "Option<CpuSpec>", optional)]
    pub cpu: CpuSpec,
    /// Guest memory in bytes: a multiple of 4096, at least 16 MiB, at most what the host has unless
    /// `memoryOptions.overcommit` is on.
    pub memory: MemorySize,
    /// What stands behind the memory. Default: private pages that are committed when they are used.
    #[serde(default, skip_serializing_if = "MemoryOptions::is_default")]
    #[ts(as = "Option<MemoryOptions>", optional)]
    pub memory_options: MemoryOptions,
    /// NUMA nodes that the guest sees, in the order of their memory, at most 16. Only ACPI tells of them. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<NumaNodeSpec>>", optional)]
    #[schemars(length(max = MAX_NUMA_NODES))]
    pub numa: Vec<NumaNodeSpec>,
    /// The kind of machine. Default: standard.
    #[serde(default)]
    #[ts(as = "Option<Profile>", optional)]
    pub profile: Profile,
    /// Whether ACPI tables describe the machine and it has a power button. Default: true, with the profile `micro` false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub acpi: Option<bool>,
    /// What the machine boots.
    pub boot: BootSpec,
    /// Disks in the order the guest sees them, at most 16. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<DiskSpec>>", optional)]
    #[schemars(length(max = MAX_DISKS))]
    pub disks: Vec<DiskSpec>,
    /// Network interfaces in the order the guest sees them, at most 8. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<InterfaceSpec>>", optional)]
    #[schemars(length(max = MAX_INTERFACES))]
    pub interfaces: Vec<InterfaceSpec>,
    /// Where the first serial port leads. Default: the console of the machine.
    #[serde(default)]
    #[ts(as = "Option<SerialSpec>", optional)]
    pub serial: SerialSpec,
    /// Whether the machine has a virtio entropy device. Default: true.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    pub rng: bool,
    /// Sockets between guest and host. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub vsock: Option<VsockSpec>,
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

impl MachineSpec {
    /// Whether ACPI tables describe the machine.
    pub fn has_acpi(&self) -> bool {
        self.acpi.unwrap_or(self.profile == Profile::Standard)
    }
}

fn yes() -> bool {
    true
}
