// SPDX-License-Identifier: Apache-2.0
//! The saved form of the balloon: what the driver and the device have told each other. Which pages are in it the driver
//! knows alone; in saved memory they are zero.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::features::Config;

const KIND: &str = "virtio-balloon";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BalloonState {
    /// The features offered. A driver that agreed to them must find them again.
    features: u64,
    /// Pages the balloon shall hold.
    num_pages: u32,
    /// Pages it holds, as the driver said.
    actual: u32,
    /// What a free page is filled with.
    poison_val: u32,
    /// What the driver was told of hints, and the id of the last round.
    #[serde(default)]
    hint: u32,
    #[serde(default)]
    last_hint: u32,
}

impl BalloonState {
    pub(super) fn of(features: u64, config: Config, last_hint: u32) -> Self {
        let Config { num_pages, actual, free_page_hint_cmd_id: hint, poison_val } = config;
        Self { features, num_pages, actual, poison_val, hint, last_hint }
    }

    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device offers now, with a target of at most `limit` pages; the configuration space
    /// and the id of the last round of hints. What the driver said is anything, as it was when it said so.
    pub(super) fn unpack(state: &DeviceState, offered: u64, limit: u32) -> Result<(Config, u32), StateError> {
        let Self { features, num_pages, actual, poison_val, hint, last_hint } =
            state.unpack(KIND, VERSION)?;
        let impossible = |field| Err(StateError::Impossible { kind: KIND, field });
        if features & !offered != 0 {
            return impossible("features");
        }
        if num_pages > limit {
            return impossible("num_pages");
        }
        Ok((Config { num_pages, actual, free_page_hint_cmd_id: hint, poison_val }, last_hint))
    }
}
