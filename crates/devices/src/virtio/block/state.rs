// SPDX-License-Identifier: Apache-2.0
//! The saved form of the disk: what the driver was told about it. The transport saves the queue, and nothing is in
//! flight while a device is saved.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::config::VIRTIO_BLK_F_RO;

const KIND: &str = "virtio-block";
const VERSION: u32 = 2;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlockState {
    /// The features offered. A driver that agreed to them must find them again.
    pub(super) features: u64,
    /// Size in bytes.
    pub(super) size: u64,
    /// Bytes of a block.
    pub(super) block_size: u32,
    /// Queues the driver was told of.
    pub(super) queues: u16,
    /// Whether writes are cached: the driver's choice, if it made one.
    pub(super) write_cache: bool,
}

impl BlockState {
    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device is now: the driver would not notice another size, nor that the
    /// disk has become read-only.
    pub(super) fn check(state: &DeviceState, now: &Self) -> Result<Self, StateError> {
        let saved: Self = state.unpack(KIND, VERSION)?;
        let impossible = |field| Err(StateError::Impossible { kind: KIND, field });
        if saved.size != now.size {
            return impossible("size");
        }
        if saved.block_size != now.block_size {
            return impossible("block_size");
        }
        if saved.queues != now.queues {
            return impossible("queues");
        }
        let read_only_changed = (saved.features ^ now.features) & VIRTIO_BLK_F_RO != 0;
        if saved.features & !now.features != 0 || read_only_changed {
            return impossible("features");
        }
        Ok(saved)
    }
}
