// SPDX-License-Identifier: Apache-2.0
//! The state of a whole machine but for its memory, as plain data.

use std::collections::BTreeMap;

use flotilla_device_model::state::DeviceState;
use flotilla_hypervisor::{VcpuState, VmState};
use serde::{Deserialize, Serialize};

/// Version of the layout of [`Snapshot`].
pub const VERSION: u32 = 1;

/// The state of a paused machine. Untrusted when it is restored: each part checks its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Snapshot {
    /// Layout, [`VERSION`].
    pub version: u32,
    /// Bytes of guest memory of the machine.
    pub memory: u64,
    /// State of each vCPU, in order.
    pub vcpus: Vec<VcpuState>,
    /// Interrupt controllers, timer and clock.
    pub vm: VmState,
    /// State of each device by its name.
    pub devices: BTreeMap<String, DeviceState>,
}
