// SPDX-License-Identifier: Apache-2.0
//! `--net`.

use std::str::FromStr;

use flotilla_spec::id::InterfaceId;
use flotilla_spec::{
    InterfaceBackend, InterfaceSpec, LinkState, MacAddress, TapSource, ThrottleSpec, UserNetworkSpec,
};

use super::forward::forward;
use super::throttle;

/// `--net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    tap: Option<String>,
    user: Option<UserNetworkSpec>,
    pub(super) mac: Option<MacAddress>,
    id: Option<String>,
    backend: InterfaceBackend,
    queues: u16,
    mtu: Option<u16>,
    link: LinkState,
    allow_spoofed_mac: bool,
    receive_throttle: Option<ThrottleSpec>,
    transmit_throttle: Option<ThrottleSpec>,
}

impl Interface {
    /// The interface at position `index`.
    pub fn into_spec(self, index: usize) -> InterfaceSpec {
        InterfaceSpec {
            id: InterfaceId(self.id.unwrap_or_else(|| format!("net{index}"))),
            tap: self.tap.map(TapSource::Name),
            user: self.user,
            mac: self.mac,
            backend: self.backend,
            queues: self.queues,
            mtu: self.mtu,
            link: self.link,
            allow_spoofed_mac: self.allow_spoofed_mac,
            receive_throttle: self.receive_throttle,
            transmit_throttle: self.transmit_throttle,
        }
    }
}

pub(super) fn interface(text: &str) -> Result<Interface, String> {
    let mut forwards = Vec::new();
    let mut interface = Interface {
        tap: None,
        user: None,
        mac: None,
        id: None,
        backend: InterfaceBackend::Tap,
        queues: 1,
        mtu: None,
        link: LinkState::Up,
        allow_spoofed_mac: true,
        receive_throttle: None,
        transmit_throttle: None,
    };
    for part in text.split(',') {
        match part.split_once('=') {
            None if part == "user" => interface.user = Some(UserNetworkSpec::default()),
            Some(("tap", value)) => interface.tap = Some(value.to_owned()),
            Some(("forward", value)) => forwards.push(forward(value)?),
            Some(("mac", value)) => interface.mac = Some(value.parse().map_err(|error| format!("{error}"))?),
            Some(("id", value)) => interface.id = Some(value.to_owned()),
            Some(("queues", value)) => interface.queues = number(part, value)?,
            Some(("mtu", value)) => interface.mtu = Some(number(part, value)?),
            Some(("vhost", value)) => {
                let on = choice(part, value, ["off", "on"])?;
                interface.backend = if on { InterfaceBackend::Vhost } else { InterfaceBackend::Tap };
            }
            Some(("link", value)) => {
                let up = choice(part, value, ["down", "up"])?;
                interface.link = if up { LinkState::Up } else { LinkState::Down };
            }
            Some(("spoof", value)) => interface.allow_spoofed_mac = choice(part, value, ["off", "on"])?,
            Some(option) if throttle::take(&mut interface.receive_throttle, "rx-", "pps", option)? => {}
            Some(option) if throttle::take(&mut interface.transmit_throttle, "tx-", "pps", option)? => {}
            _ => {
                return Err(format!(
                    "{part:?} is no option of an interface: tap, user, forward, mac, queues, vhost, mtu, link, spoof, id, \
                     rx-bps, rx-pps, rx-throttle, tx-bps, tx-pps, tx-throttle"
                ));
            }
        }
    }
    match (&interface.tap, &mut interface.user) {
        (None, None) => Err("tap= or user is missing".to_owned()),
        (Some(_), Some(_)) => Err("tap= and user exclude each other".to_owned()),
        (Some(_), None) if !forwards.is_empty() => Err("forward= is for user".to_owned()),
        (Some(_), None) => Ok(interface),
        (None, Some(user)) => {
            user.forwards = forwards;
            Ok(interface)
        }
    }
}

fn number<T: FromStr>(part: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{part:?}: give a number"))
}

/// `true` for the second of two words.
fn choice(part: &str, value: &str, [no, yes]: [&str; 2]) -> Result<bool, String> {
    match value {
        _ if value == yes => Ok(true),
        _ if value == no => Ok(false),
        _ => Err(format!("{part:?}: give {no} or {yes}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_reaches_the_specification() {
        let line = "tap=t0,queues=4,vhost=on,mtu=9000,link=down,spoof=off,id=lan";
        let spec = interface(line).unwrap().into_spec(3);
        assert_eq!((spec.id.as_str(), spec.queues, spec.mtu), ("lan", 4, Some(9000)));
        assert_eq!((spec.backend, spec.link), (InterfaceBackend::Vhost, LinkState::Down));
        assert!(!spec.allow_spoofed_mac && spec.receive_throttle.is_none());
        let spec = interface("tap=t0,rx-pps=5,tx-bps=1M,tx-bps-burst=2M").unwrap().into_spec(3);
        assert_eq!(spec.receive_throttle.unwrap().operations.unwrap().per_second, 5);
        let sent = spec.transmit_throttle.unwrap().bytes.unwrap();
        assert_eq!((sent.per_second, sent.burst), (1 << 20, Some(2 << 20)));
        let spec = interface("tap=t0").unwrap().into_spec(3);
        assert_eq!((spec.id.as_str(), spec.queues, spec.mtu), ("net3", 1, None));
        assert_eq!((spec.backend, spec.link), (InterfaceBackend::Tap, LinkState::Up));
        assert!(spec.allow_spoofed_mac && spec.user.is_none());
    }

    #[test]
    fn a_network_without_a_tap_has_forwards() {
        let spec = interface("user,forward=tcp:8080:80,mtu=1400,forward=udp:53:53").unwrap().into_spec(0);
        assert_eq!((spec.tap, spec.mtu), (None, Some(1400)));
        let ports: Vec<_> = spec.user.unwrap().forwards.iter().map(|forward| forward.host_port).collect();
        assert_eq!(ports, [8080, 53]);
    }
}
