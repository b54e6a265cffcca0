// SPDX-License-Identifier: Apache-2.0
//! Limits of what a device may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::MAX_RATE;

/// How much may flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RateSpec {
    /// Units in a second, 1 to 9007199254740991.
    #[schemars(range(min = 1, max = MAX_RATE))]
    #[ts(type = "number")]
    pub per_second: u64,
    /// Units that may come at once after a rest, up to 9007199254740991. One request more may begin while there are some.
    /// Default: what flows in a tenth of a second. Less than what flows in a fiftieth counts as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = MAX_RATE))]
    #[ts(optional, type = "number")]
    pub burst: Option<u64>,
}

/// Limits. What is absent is not limited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsSpec {
    /// Bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub bytes: Option<RateSpec>,
    /// Operations, whatever their size: requests to a disk, frames of an interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub operations: Option<RateSpec>,
}

/// The limits of a device: its own, or those of a group that it shares with others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThrottleSpec {
    /// Bytes. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub bytes: Option<RateSpec>,
    /// Operations, whatever their size: requests to a disk, frames of an interface. Default: no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub operations: Option<RateSpec>,
    /// The group of the machine whose limits hold for all its devices together; there are no others then. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub group: Option<String>,
}

impl ThrottleSpec {
    /// The limits of its own.
    #[must_use]
    pub fn limits(&self) -> LimitsSpec {
        LimitsSpec { bytes: self.bytes, operations: self.operations }
    }
}

/// Limits for several devices together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThrottleGroupSpec {
    /// Unique among the groups of the machine.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"))]
    pub id: String,
    /// What all of them may do together.
    pub limits: LimitsSpec,
}

/// Whose limits are meant: those of a device that has its own, or of a group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema, TS)]
#[serde(tag = "kind", rename_all = "camelCase", deny_unknown_fields)]
pub enum ThrottleTarget {
    /// A disk.
    Disk {
        /// Its id.
        id: String,
    },
    /// What an interface brings to the guest.
    Receive {
        /// The id of the interface.
        id: String,
    },
    /// What an interface takes from the guest.
    Transmit {
        /// The id of the interface.
        id: String,
    },
    /// The entropy device.
    Rng,
    /// A group.
    Group {
        /// Its id.
        id: String,
    },
}
