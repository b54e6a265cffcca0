// SPDX-License-Identifier: Apache-2.0
//! The saved form of persistent memory: what the driver was told of it. What is in it is the file's.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

const KIND: &str = "virtio-pmem";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PmemState {
    /// The features offered. A driver that agreed to them must find them again.
    pub(super) features: u64,
    /// First guest address.
    pub(super) start: u64,
    /// Length in bytes.
    pub(super) size: u64,
    /// Whether the guest may only read.
    pub(super) read_only: bool,
}

impl PmemState {
    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device is now: the driver has the place in its page tables, and would notice
    /// neither another one nor that its writes vanish.
    pub(super) fn check(&self, state: &DeviceState) -> Result<(), StateError> {
        let saved: Self = state.unpack(KIND, VERSION)?;
        let same = [
            ("features", saved.features & !self.features == 0),
            ("start", saved.start == self.start),
            ("size", saved.size == self.size),
            ("read_only", saved.read_only == self.read_only),
        ];
        match same.into_iter().find(|(_, same)| !same) {
            Some((field, _)) => Err(StateError::Impossible { kind: KIND, field }),
            None => Ok(()),
        }
    }
}
