// SPDX-License-Identifier: Apache-2.0
//! User-mode networking: a process that speaks for the guest with plain sockets of the host.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

use crate::MAX_FORWARDS;

/// The network of an interface without a tap: a passt process, which needs no privilege. The guest gets the address of the
/// host by DHCP, reaches what the host reaches, but not the host's loopback; nobody reaches it but by the forwards.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserNetworkSpec {
    /// Ports of the host that lead into the guest. Default: none.
    #[serde(default)]
    #[schemars(length(max = MAX_FORWARDS))]
    #[ts(as = "Option<Vec<ForwardSpec>>", optional)]
    pub forwards: Vec<ForwardSpec>,
    /// Index into the descriptors passed along: a UNIX stream socket whose other end the process has. Only the control protocol
    /// of the worker uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub descriptor: Option<u32>,
}

/// A port of the host that leads into the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardSpec {
    /// What is forwarded.
    pub protocol: ForwardProtocol,
    /// The address of the host to listen at, IPv4 or IPv6. Default: 127.0.0.1, which nobody else reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", length(min = 2, max = 45), regex(pattern = r"^[0-9a-fA-F.:]+$"))]
    #[ts(type = "string", optional)]
    pub host_address: Option<IpAddr>,
    /// The port of the host, 1 to 65535. One machine forwards each port of a protocol once.
    #[schemars(range(min = 1))]
    pub host_port: u16,
    /// The port of the guest, 1 to 65535.
    #[schemars(range(min = 1))]
    pub guest_port: u16,
}

/// What is forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardProtocol {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}
