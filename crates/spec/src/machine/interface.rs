// SPDX-License-Identifier: Apache-2.0
//! Network interfaces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use super::{ThrottleSpec, UserNetworkSpec};
use crate::id::InterfaceId;
use crate::{MAX_INTERFACE_QUEUES, MacAddress, TapSource};

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("oneOf" = [
    { "required": ["tap"], "properties": { "tap": {} } },
    { "required": ["user"], "properties": { "user": {} } },
]))]
#[schemars(extend("if" = { "required": ["user"], "properties": { "user": {} } }))]
#[schemars(extend("then" = { "properties": { "backend": { "const": "tap" }, "queues": { "type": "integer", "maximum": 1 } } }))]
pub struct InterfaceSpec {
    /// Unique among the interfaces of the machine.
    pub id: InterfaceId,
    /// The tap or macvtap interface of the host that carries the frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub tap: Option<TapSource>,
    /// User-mode networking in place of a tap: one of the two must be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub user: Option<UserNetworkSpec>,
    /// The MAC address that the guest sees. Default: chosen by the guest's driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mac: Option<MacAddress>,
    /// Who moves the frames. Default: the worker itself.
    #[serde(default)]
    #[ts(as = "Option<InterfaceBackend>", optional)]
    pub backend: InterfaceBackend,
    /// Pairs of queues, 1 to 16, each with a thread of its own; the tap interface must take as many. User-mode networking has
    /// one. Default: 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = MAX_INTERFACE_QUEUES))]
    #[ts(as = "Option<u16>", optional)]
    pub queues: u16,
    /// The MTU that the guest is told of, 68 to 65535. Default: none, the guest's own.
    #[schemars(range(min = 68, max = 65_535))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub mtu: Option<u16>,
    /// Whether the cable is plugged in at first. Default: up.
    #[serde(default)]
    #[ts(as = "Option<LinkState>", optional)]
    pub link: LinkState,
    /// Whether the guest may send from other MAC addresses than its own, or take another one. Such frames are dropped and
    /// counted otherwise. Must be true with vhost. Default: true.
    #[serde(default = "yes")]
    #[ts(as = "Option<bool>", optional)]
    pub allow_spoofed_mac: bool,
    /// Limits of what comes to the guest; not with vhost. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub receive_throttle: Option<ThrottleSpec>,
    /// Limits of what the guest sends; not with vhost. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub transmit_throttle: Option<ThrottleSpec>,
}

/// Who moves the frames of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum InterfaceBackend {
    /// The worker, between the guest and its network.
    #[default]
    Tap,
    /// The kernel of the host, by vhost-net, between the guest and the tap interface. Nothing filters what it receives.
    Vhost,
}

/// Whether the cable of an interface is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It is.
    #[default]
    Up,
    /// It is not: the guest sees no carrier and no frame passes.
    Down,
}

impl LinkState {
    /// Whether it is up.
    #[must_use]
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Up)
    }
}

fn one() -> u16 {
    1
}

fn yes() -> bool {
    true
}
