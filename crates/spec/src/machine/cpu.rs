// SPDX-License-Identifier: Apache-2.0
//! What the CPUs of a machine are like, and where they run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{LAST_HOST_NUMBER, MAX_CPUS, MAX_FEATURES};

/// What the CPUs of a machine are like, and where they run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CpuSpec {
    /// Sockets, cores and threads; their product is the number of CPUs. Default: one socket of cores without siblings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub topology: Option<TopologySpec>,
    /// What the guest sees of the host's processor. Default: host.
    #[serde(default)]
    #[ts(as = "Option<CpuModel>", optional)]
    pub model: CpuModel,
    /// Features beside those of the model, by their names in /proc/cpuinfo. The host must have them. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schemars(length(max = MAX_FEATURES))]
    pub enable: Vec<String>,
    /// Features of the model that the guest does not see, with all that need them. Default: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<String>>", optional)]
    #[schemars(length(max = MAX_FEATURES))]
    pub disable: Vec<String>,
    /// Whether the guest can run virtual machines itself. Its state then cannot be saved. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub nested: bool,
    /// On which CPUs of the host the threads of the machine run. Default: on any.
    #[serde(default, skip_serializing_if = "PinSpec::is_empty")]
    #[ts(as = "Option<PinSpec>", optional)]
    pub pin: PinSpec,
}

/// How the CPUs of a machine are arranged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopologySpec {
    /// Number of sockets. Default: 1.
    #[serde(default = "one")]
    #[ts(as = "Option<u32>", optional)]
    #[schemars(range(min = 1, max = MAX_CPUS))]
    pub sockets: u32,
    /// Cores of each socket. Default: 1.
    #[serde(default = "one")]
    #[ts(as = "Option<u32>", optional)]
    #[schemars(range(min = 1, max = MAX_CPUS))]
    pub cores: u32,
    /// Threads of each core. Default: 1.
    #[serde(default = "one")]
    #[ts(as = "Option<u32>", optional)]
    #[schemars(range(min = 1, max = MAX_CPUS))]
    pub threads: u32,
}

const fn one() -> u32 {
    1
}

/// What a guest sees of the host's processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub enum CpuModel {
    /// All that KVM offers.
    #[default]
    #[serde(rename = "host")]
    Host,
    /// The features of the level x86-64-v2, the same on every host that has them.
    #[serde(rename = "x86-64-v2")]
    X86_64V2,
    /// The features of the level x86-64-v3, the same on every host that has them.
    #[serde(rename = "x86-64-v3")]
    X86_64V3,
}

/// On which CPUs of the host the threads of a machine run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinSpec {
    /// For each virtual CPU the host's CPUs it may run on; an empty list means any. Default: any for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<Vec<u32>>>", optional)]
    #[schemars(length(max = MAX_CPUS), inner(inner(range(max = LAST_HOST_NUMBER))))]
    pub vcpus: Vec<Vec<u32>>,
    /// The host's CPUs on which the threads of devices may run. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<u32>>", optional)]
    #[schemars(inner(range(max = LAST_HOST_NUMBER)))]
    pub io: Vec<u32>,
}

impl PinSpec {
    /// Whether nothing is pinned.
    pub fn is_empty(&self) -> bool {
        self.vcpus.is_empty() && self.io.is_empty()
    }
}

impl CpuSpec {
    /// Whether all of it is the default.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
