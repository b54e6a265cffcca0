// SPDX-License-Identifier: Apache-2.0
//! What stands behind the memory of a machine, and to which nodes it belongs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::{LAST_HOST_NUMBER, MAX_CPUS, MAX_NUMA_NODES, MemorySize};

/// What stands behind the memory of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemoryOptions {
    /// The kind of memory. Default: anonymous.
    #[serde(default)]
    #[ts(as = "Option<MemoryBacking>", optional)]
    pub backing: MemoryBacking,
    /// Whether the kernel shall make transparent huge pages of it. Not with hugetlb. Default: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub transparent_hugepages: Option<TransparentHugepages>,
    /// Whether the host commits all of it before the guest starts. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub prefault: bool,
    /// Whether what is committed stays in the host's memory and is never swapped. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub lock: bool,
    /// Whether the host may merge equal pages of this and other machines. They can then spy on each other by timing. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub mergeable: bool,
    /// Whether the memory may be more than the host has. Default: false.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub overcommit: bool,
}

impl MemoryOptions {
    /// Whether all of it is the default.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The kind of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
pub enum MemoryBacking {
    /// Private pages.
    #[default]
    #[serde(rename = "anonymous")]
    Anonymous,
    /// A memory file that other processes can map.
    #[serde(rename = "memfd")]
    Memfd,
    /// Huge pages of 2 MiB, reserved from the host's pool.
    #[serde(rename = "hugetlb-2M")]
    Hugetlb2M,
    /// Huge pages of 1 GiB, reserved from the host's pool.
    #[serde(rename = "hugetlb-1G")]
    Hugetlb1G,
}

impl MemoryBacking {
    /// Bytes of a page: the memory is a multiple of them.
    pub const fn page(self) -> u64 {
        match self {
            Self::Anonymous | Self::Memfd => 4096,
            Self::Hugetlb2M => 2 << 20,
            Self::Hugetlb1G => 1 << 30,
        }
    }

    /// Whether the pages come from a pool of huge ones.
    pub const fn is_hugetlb(self) -> bool {
        matches!(self, Self::Hugetlb2M | Self::Hugetlb1G)
    }
}

/// Whether the kernel shall make transparent huge pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum TransparentHugepages {
    /// As the host does for any program.
    Default,
    /// Wherever they fit.
    #[default]
    Always,
    /// Nowhere.
    Never,
}

/// A NUMA node of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumaNodeSpec {
    /// Its CPUs by their numbers, from 0. Each CPU of the machine belongs to one node.
    #[schemars(inner(range(max = MAX_CPUS - 1)))]
    pub cpus: Vec<u32>,
    /// Its memory in bytes, at least 16 MiB. All nodes together have that of the machine.
    pub memory: MemorySize,
    /// The host's nodes that its memory comes from. Default: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<u32>>", optional)]
    #[schemars(inner(range(max = LAST_HOST_NUMBER)))]
    pub host_nodes: Vec<u32>,
    /// The distance to each node, 10 to itself and 11 to 254 to others. Default: 20 to others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[ts(as = "Option<Vec<u8>>", optional)]
    #[schemars(length(max = MAX_NUMA_NODES), inner(range(min = 10, max = 254)))]
    pub distances: Vec<u8>,
}
