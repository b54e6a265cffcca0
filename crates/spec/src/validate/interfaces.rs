// SPDX-License-Identifier: Apache-2.0
//! Network interfaces.

use std::collections::HashSet;

use super::{Faults, check_id, check_unique};
use crate::code::ErrorCode;
use crate::{ForwardProtocol, InterfaceBackend, InterfaceSpec, TapSource, UserNetworkSpec};

/// The most network interfaces of a machine.
pub const MAX_INTERFACES: usize = 8;
/// IFNAMSIZ without the NUL.
const MAX_LINK_NAME: usize = 15;
/// The most pairs of queues of an interface.
pub const MAX_INTERFACE_QUEUES: u16 = 16;
/// The most ports of the host that lead to an interface.
pub const MAX_FORWARDS: usize = 64;
/// What IPv4 demands of every link, and what fits its length field.
const MTU: std::ops::RangeInclusive<u16> = 68..=65_535;

pub(super) fn check_interfaces(faults: &mut Faults, interfaces: &[InterfaceSpec]) {
    if interfaces.len() > MAX_INTERFACES {
        let message = format!("{} interfaces are more than {MAX_INTERFACES}", interfaces.len());
        faults.add(ErrorCode::SpecTooManyInterfaces, "$.interfaces", message);
    }
    let mut ids = HashSet::new();
    let mut addresses = HashSet::new();
    let mut taps = HashSet::new();
    let mut ports = HashSet::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let path = format!("$.interfaces[{index}]");
        check_id(faults, &path, interface.id.as_str(), &mut ids);
        check_network(faults, &path, interface);
        if let Some(tap) = &interface.tap {
            check_tap(faults, &format!("{path}.tap"), tap, &mut taps);
        }
        if let Some(user) = &interface.user {
            check_forwards(faults, &format!("{path}.user.forwards"), user, &mut ports);
        }
        check_traffic(faults, &path, interface);
        let Some(mac) = interface.mac else { continue };
        let path = format!("{path}.mac");
        if !mac.is_usable() {
            faults.add(ErrorCode::SpecMacInvalid, &path, format!("{mac} is zero or a group address"));
        }
        check_unique(faults, ErrorCode::SpecMacDuplicate, &path, mac, &mut addresses);
    }
}

/// Exactly one network, and nothing that it cannot have.
fn check_network(faults: &mut Faults, path: &str, interface: &InterfaceSpec) {
    let mut conflict = |at: &str, message: &str| {
        faults.add(ErrorCode::SpecNetworkConflict, format!("{path}{at}"), message);
    };
    match (&interface.tap, &interface.user) {
        (None, None) => conflict("", "Interface has neither a tap nor user-mode networking"),
        (Some(_), Some(_)) => conflict(".user", "Interface has a tap already"),
        (Some(_), None) => {}
        (None, Some(_)) => {
            if interface.backend == InterfaceBackend::Vhost {
                conflict(".backend", "The kernel moves no frames of user-mode networking");
            }
            if interface.queues > 1 {
                let message = "User-mode networking has one pair of queues";
                faults.add(ErrorCode::SpecInterfaceQueuesOutOfRange, format!("{path}.queues"), message);
            }
        }
    }
}

fn check_forwards(
    faults: &mut Faults,
    path: &str,
    user: &UserNetworkSpec,
    seen: &mut HashSet<(ForwardProtocol, u16)>,
) {
    if user.forwards.len() > MAX_FORWARDS {
        let message = format!("{} forwards are more than {MAX_FORWARDS}", user.forwards.len());
        faults.add(ErrorCode::SpecForwardInvalid, path, message);
    }
    for (index, forward) in user.forwards.iter().enumerate() {
        for (port, name) in [(forward.host_port, "hostPort"), (forward.guest_port, "guestPort")] {
            if port == 0 {
                faults.add(ErrorCode::SpecForwardInvalid, format!("{path}[{index}].{name}"), "Port is zero");
            }
        }
        if !seen.insert((forward.protocol, forward.host_port)) {
            let message = format!("Port {} of the host is forwarded twice", forward.host_port);
            faults.add(ErrorCode::SpecForwardInvalid, format!("{path}[{index}].hostPort"), message);
        }
    }
}

fn check_traffic(faults: &mut Faults, path: &str, interface: &InterfaceSpec) {
    let queues = interface.queues;
    if !(1..=MAX_INTERFACE_QUEUES).contains(&queues) {
        let message = format!("{queues} pairs of queues are not within 1 to {MAX_INTERFACE_QUEUES}");
        faults.add(ErrorCode::SpecInterfaceQueuesOutOfRange, format!("{path}.queues"), message);
    }
    if let Some(mtu) = interface.mtu.filter(|mtu| !MTU.contains(mtu)) {
        let message = format!("MTU {mtu} is not within 68 to 65535");
        faults.add(ErrorCode::SpecMtuOutOfRange, format!("{path}.mtu"), message);
    }
    if interface.backend == InterfaceBackend::Vhost && !interface.allow_spoofed_mac {
        let message = "vhost-net looks at no address, so that it cannot keep spoofed ones back";
        faults.add(ErrorCode::SpecSpoofGuardUnsupported, format!("{path}.allowSpoofedMac"), message);
    }
}

fn check_tap<'a>(faults: &mut Faults, path: &str, tap: &'a TapSource, seen: &mut HashSet<&'a str>) {
    let TapSource::Name(name) = tap else { return };
    let path = format!("{path}.name");
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b':' | b'%'));
    if name.is_empty() || name.len() > MAX_LINK_NAME || !printable || matches!(name.as_str(), "." | "..") {
        faults.add(ErrorCode::SpecTapInvalid, &path, "Text is not the name of a network link");
    }
    check_unique(faults, ErrorCode::SpecTapInvalid, &path, name.as_str(), seen);
}
