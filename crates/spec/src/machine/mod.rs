// SPDX-License-Identifier: Apache-2.0
//! The specification itself: a file for each part of a machine.

mod balloon;
mod boot;
mod console;
mod cpu;
mod disk;
mod interface;
mod memory;
mod policy;
mod profile;
mod serial;
mod share;
mod throttle;
mod user_network;
pub(crate) mod vsock;
mod watchdog;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{
    MAX_CPUS, MAX_DISKS, MAX_INTERFACES, MAX_NUMA_NODES, MAX_SHARES, MAX_THROTTLE_GROUPS, MemorySize,
};

pub use balloon::BalloonSpec;
pub use boot::{BootProtocol, BootSpec};
pub use console::{ConsolePortSpec, ConsoleSpec};
pub use cpu::{CpuModel, CpuSpec, PinSpec, TopologySpec};
pub use disk::{BackingSpec, DiskAttachment, DiskCache, DiskEngine, DiskFormat, DiskSpec, SpacePolicy};
pub use interface::{InterfaceBackend, InterfaceSpec, LinkState};
pub use memory::{MemoryBacking, MemoryOptions, NumaNodeSpec, TransparentHugepages};
pub use policy::{CrashPolicy, RebootPolicy};
pub use profile::Profile;
pub use serial::SerialSpec;
pub use share::ShareSpec;
pub use throttle::{LimitsSpec, RateSpec, ThrottleGroupSpec, ThrottleSpec, ThrottleTarget};
pub use user_network::{ForwardProtocol, ForwardSpec, UserNetworkSpec};
pub use vsock::VsockSpec;
pub use watchdog::{WatchdogAction, WatchdogSpec};

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
    /// Memory that the guest is asked to give up. Default: none, and no device to ask through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub balloon: Option<BalloonSpec>,
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
    /// Folders of the host that the guest mounts by their tags, at most 4. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ShareSpec>>", optional)]
    #[schemars(length(max = MAX_SHARES))]
    pub shares: Vec<ShareSpec>,
    /// Where the first serial port leads. Default: the console of the machine.
    #[serde(default)]
    #[ts(as = "Option<SerialSpec>", optional)]
    pub serial: SerialSpec,
    /// A console device. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub console: Option<ConsoleSpec>,
    /// Whether the machine has a virtio entropy device. Default: true.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    pub rng: bool,
    /// Limits of the entropy device. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub rng_throttle: Option<ThrottleSpec>,
    /// Limits that several devices share, at most 32. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<ThrottleGroupSpec>>", optional)]
    #[schemars(length(max = MAX_THROTTLE_GROUPS))]
    pub throttle_groups: Vec<ThrottleGroupSpec>,
    /// Sockets between guest and host. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub vsock: Option<VsockSpec>,
    /// A watchdog for the guest. Only ACPI tells of it. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub watchdog: Option<WatchdogSpec>,
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
