// SPDX-License-Identifier: Apache-2.0
//! The saved form of the network interface: what the driver was told about it, and what both agreed on. The transport
//! saves the queues, and no buffer is held back while a device is saved.

use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::features::GUEST_OFFLOADS;
use super::filter::{Mac, is_group};
use super::shared::Agreement;

const KIND: &str = "virtio-net";
const VERSION: u32 = 1;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetState {
    /// The features offered. A driver that agreed to them must find them again.
    pub(super) features: u64,
    /// The MAC address of the specification, in the order of transmission.
    pub(super) mac: Mac,
    /// Pairs of queues offered.
    #[serde(default = "one")]
    pub(super) pairs: u16,
    /// The MTU that the driver was told of, 0 for none.
    #[serde(default)]
    pub(super) mtu: u16,
    /// What was agreed on; none while no driver is active.
    #[serde(default)]
    pub(super) agreement: Option<Agreement>,
    /// Whether the link was up.
    #[serde(default = "yes")]
    pub(super) link_up: bool,
    /// Whether the driver had still to announce itself.
    #[serde(default)]
    pub(super) announce: bool,
}

fn one() -> u16 {
    1
}

fn yes() -> bool {
    true
}

impl NetState {
    pub(super) fn pack(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, self)
    }

    /// Checks a saved form against what the device is now: the driver reads the configuration only once.
    pub(super) fn check(
        state: &DeviceState,
        now: &Self,
        pinned_mac: Option<Mac>,
    ) -> Result<Self, StateError> {
        let saved: Self = state.unpack(KIND, VERSION)?;
        let fits = |condition: bool, field| {
            if condition { Ok(()) } else { Err(StateError::Impossible { kind: KIND, field }) }
        };
        fits(saved.mac == now.mac, "mac")?;
        fits(saved.features & !now.features == 0, "features")?;
        fits(saved.pairs == now.pairs, "pairs")?;
        fits(saved.mtu == now.mtu, "mtu")?;
        if let Some(Agreement { mac, filter, pairs, offloads }) = &saved.agreement {
            fits(*mac != [0; 6] && !is_group(*mac), "agreement.mac")?;
            fits(pinned_mac.is_none_or(|pinned| pinned == *mac), "agreement.mac")?;
            fits(filter.is_possible(), "agreement.filter")?;
            fits((1..=now.pairs).contains(pairs), "agreement.pairs")?;
            fits(offloads & !(saved.features & GUEST_OFFLOADS) == 0, "agreement.offloads")?;
        }
        fits(!saved.announce || saved.agreement.is_some(), "announce")?;
        Ok(saved)
    }
}
