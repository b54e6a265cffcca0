// SPDX-License-Identifier: Apache-2.0
//! The saved form of the network interface: what the driver was told about it. The transport saves the queues, and
//! no buffer is held back while a device is saved.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

const KIND: &str = "virtio-net";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetState {
    /// The features offered. A driver that agreed to them must find them again.
    pub(super) features: u64,
    /// The MAC address, in the order of transmission.
    pub(super) mac: [u8; 6],
}

impl NetState {
    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device is now: the driver reads the address only once.
    pub(super) fn check(state: &DeviceState, now: &Self) -> Result<(), StateError> {
        let saved: Self = state.unpack(KIND, VERSION)?;
        if saved.mac != now.mac {
            return Err(StateError::Impossible { kind: KIND, field: "mac" });
        }
        if saved.features & !now.features != 0 {
            return Err(StateError::Impossible { kind: KIND, field: "features" });
        }
        Ok(())
    }
}
