// SPDX-License-Identifier: Apache-2.0
//! The saved form of the console device: what driver and device have told each other. What waits on the host stays there; who
//! has a port open after a restore the driver learns as after any other change.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::control::Talk;

const KIND: &str = "virtio-console";
const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConsoleState {
    /// The features offered. A driver that agreed to them must find them again.
    features: u64,
    /// The names of the ports after the terminal.
    names: Vec<String>,
    /// What was said.
    talk: Talk,
}

impl ConsoleState {
    pub(super) fn of(features: u64, names: Vec<String>, talk: Talk) -> Self {
        Self { features, names, talk }
    }

    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device offers now and the ports it has.
    pub(super) fn unpack(state: &DeviceState, offered: u64, ports: &[String]) -> Result<Talk, StateError> {
        let Self { features, names, talk } = state.unpack(KIND, VERSION)?;
        let impossible = |field| Err(StateError::Impossible { kind: KIND, field });
        if features & !offered != 0 {
            return impossible("features");
        }
        if names != ports {
            return impossible("names");
        }
        if talk.ports() != ports.len() + 1 {
            return impossible("talk");
        }
        Ok(talk)
    }
}
