// SPDX-License-Identifier: Apache-2.0
//! `--net`.

use std::str::FromStr;

use flotilla_spec::id::InterfaceId;
use flotilla_spec::{InterfaceBackend, InterfaceSpec, LinkState, MacAddress, TapSource};

/// `--net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    tap: String,
    pub(super) mac: Option<MacAddress>,
    id: Option<String>,
    backend: InterfaceBackend,
    queues: u16,
    mtu: Option<u16>,
    link: LinkState,
    allow_spoofed_mac: bool,
}

impl Interface {
    /// The interface at position `index`.
    pub fn into_spec(self, index: usize) -> InterfaceSpec {
        InterfaceSpec {
            id: InterfaceId(self.id.unwrap_or_else(|| format!("net{index}"))),
            tap: TapSource::Name(self.tap),
            mac: self.mac,
            backend: self.backend,
            queues: self.queues,
            mtu: self.mtu,
            link: self.link,
            allow_spoofed_mac: self.allow_spoofed_mac,
        }
    }
}

pub(super) fn interface(text: &str) -> Result<Interface, String> {
    let mut tap = None;
    let mut interface = Interface {
        tap: String::new(),
        mac: None,
        id: None,
        backend: InterfaceBackend::Tap,
        queues: 1,
        mtu: None,
        link: LinkState::Up,
        allow_spoofed_mac: true,
    };
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("tap", value)) => tap = Some(value.to_owned()),
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
            _ => {
                return Err(format!(
                    "{part:?} is no option of an interface: tap, mac, queues, vhost, mtu, link, spoof, id"
                ));
            }
        }
    }
    interface.tap = tap.ok_or("tap= is missing")?;
    Ok(interface)
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
        assert!(!spec.allow_spoofed_mac);
        let spec = interface("tap=t0").unwrap().into_spec(3);
        assert_eq!((spec.id.as_str(), spec.queues, spec.mtu), ("net3", 1, None));
        assert_eq!((spec.backend, spec.link), (InterfaceBackend::Tap, LinkState::Up));
        assert!(spec.allow_spoofed_mac);
    }
}
