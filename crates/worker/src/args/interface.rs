// SPDX-License-Identifier: Apache-2.0
//! `--net`.

use flotilla_spec::id::InterfaceId;
use flotilla_spec::{InterfaceSpec, MacAddress, TapSource};

/// `--net`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    tap: String,
    pub(super) mac: Option<MacAddress>,
    id: Option<String>,
}

impl Interface {
    /// The interface at position `index`.
    pub fn into_spec(self, index: usize) -> InterfaceSpec {
        let id = InterfaceId(self.id.unwrap_or_else(|| format!("net{index}")));
        InterfaceSpec { id, tap: TapSource::Name(self.tap), mac: self.mac }
    }
}

pub(super) fn interface(text: &str) -> Result<Interface, String> {
    let mut tap = None;
    let mut interface = Interface { tap: String::new(), mac: None, id: None };
    for part in text.split(',') {
        match part.split_once('=') {
            Some(("tap", value)) => tap = Some(value.to_owned()),
            Some(("mac", value)) => interface.mac = Some(value.parse().map_err(|error| format!("{error}"))?),
            Some(("id", value)) => interface.id = Some(value.to_owned()),
            _ => return Err(format!("{part:?} is no option of an interface: tap, mac, id")),
        }
    }
    interface.tap = tap.ok_or("tap= is missing")?;
    Ok(interface)
}
