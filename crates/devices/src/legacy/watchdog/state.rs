// SPDX-License-Identifier: Apache-2.0
//! The saved form.

use flotilla_device_model::state::StateError;
use serde::{Deserialize, Serialize};

use super::countdown::{MAX_COUNT, MIN_COUNT, Registers, nanoseconds};

pub(super) const KIND: &str = "watchdog";
pub(super) const VERSION: u32 = 1;

/// The registers; time is what is left of it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WatchdogState {
    count: u32,
    running: bool,
    over: bool,
    expired: bool,
    status: bool,
    /// Nanoseconds.
    left: u64,
}

impl From<Registers> for WatchdogState {
    fn from(Registers { count, running, over, expired, status, left }: Registers) -> Self {
        Self { count, running, over, expired, status, left }
    }
}

impl TryFrom<WatchdogState> for Registers {
    type Error = StateError;

    fn try_from(state: WatchdogState) -> Result<Self, StateError> {
        let WatchdogState { count, running, over, expired, status, left } = state;
        let impossible = |field| Err(StateError::Impossible { kind: KIND, field });
        if !(MIN_COUNT..=MAX_COUNT).contains(&count) {
            return impossible("count");
        }
        if left > nanoseconds(MAX_COUNT) {
            return impossible("left");
        }
        if over && !(running && expired && left == 0) {
            return impossible("over");
        }
        Ok(Self { count, running, over, expired, status, left })
    }
}
