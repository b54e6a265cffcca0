// SPDX-License-Identifier: Apache-2.0
//! Network interfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::id::InterfaceId;
use crate::{MacAddress, TapSource};

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
