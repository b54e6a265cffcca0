// SPDX-License-Identifier: Apache-2.0
//! The saved form of the entropy device: only what it offered, since the transport saves the queues.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

const KIND: &str = "virtio-rng";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RngState {
    /// The features offered. A driver that agreed to them must find them again.
    features: u64,
}

impl RngState {
    pub(super) fn of(features: u64) -> Self {
        Self { features }
    }

    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device offers now.
    pub(super) fn unpack(state: &DeviceState, offered: u64) -> Result<(), StateError> {
        let saved: Self = state.unpack(KIND, VERSION)?;
        if saved.features & !offered != 0 {
            return Err(StateError::Impossible { kind: KIND, field: "features" });
        }
        Ok(())
    }
}
