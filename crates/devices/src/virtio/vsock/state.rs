// SPDX-License-Identifier: Apache-2.0
//! The saved form of the socket device. Connections are not in it: their other ends live in processes of the host that
//! saved, so the guest is told on restore that they are gone.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::muxer::FIRST_PORT;

const KIND: &str = "virtio-vsock";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VsockState {
    /// The features offered. A driver that agreed to them must find them again.
    pub(super) features: u64,
    /// The context id of the guest.
    pub(super) cid: u64,
    /// The port that the next connection from the host comes from: the guest may still remember those before it.
    pub(super) next_port: u32,
    /// Whether a driver used the device, which must be told that its connections are gone.
    pub(super) active: bool,
}

impl VsockState {
    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device is now. Another context id is no fault: a driver that is told of the
    /// reset reads it again, and a clone must have one of its own.
    pub(super) fn unpack(state: &DeviceState, features: u64) -> Result<Self, StateError> {
        let saved: Self = state.unpack(KIND, VERSION)?;
        let impossible = |field| Err(StateError::Impossible { kind: KIND, field });
        if saved.features & !features != 0 {
            return impossible("features");
        }
        if saved.cid <= super::packet::HOST_CID || saved.cid >= u64::from(u32::MAX) {
            return impossible("cid");
        }
        if !(FIRST_PORT..FIRST_PORT * 2).contains(&saved.next_port) {
            return impossible("next_port");
        }
        Ok(saved)
    }
}
