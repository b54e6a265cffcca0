// SPDX-License-Identifier: Apache-2.0
//! `forward=` of `--net user`.

use std::net::{IpAddr, Ipv6Addr};

use flotilla_spec::{ForwardProtocol, ForwardSpec};

/// `PROTOCOL:[ADDRESS:]PORT:PORT`, an IPv6 address in brackets.
pub(super) fn forward(text: &str) -> Result<ForwardSpec, String> {
    parse(text).ok_or_else(|| {
        format!("{text:?} is no forward: give tcp|udp:[ADDRESS:]PORT OF THE HOST:PORT OF THE GUEST, IPv6 in brackets")
    })
}

fn parse(text: &str) -> Option<ForwardSpec> {
    let (protocol, rest) = text.split_once(':')?;
    let protocol = match protocol {
        "tcp" => ForwardProtocol::Tcp,
        "udp" => ForwardProtocol::Udp,
        _ => return None,
    };
    let (host, guest_port) = rest.rsplit_once(':')?;
    let (host_address, host_port) = match host.rsplit_once(':') {
        Some((address, port)) => (Some(ip(address)?), port),
        None => (None, host),
    };
    let (host_port, guest_port) = (host_port.parse().ok()?, guest_port.parse().ok()?);
    Some(ForwardSpec { protocol, host_address, host_port, guest_port })
}

fn ip(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok().filter(IpAddr::is_ipv4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_have_a_protocol_perhaps_an_address_and_two_ports() {
        let read = |text| forward(text).unwrap();
        let plain = read("tcp:8080:80");
        assert_eq!((plain.protocol, plain.host_address), (ForwardProtocol::Tcp, None));
        assert_eq!((plain.host_port, plain.guest_port), (8080, 80));
        assert_eq!(read("udp:192.0.2.1:53:53").host_address, Some("192.0.2.1".parse().unwrap()));
        assert_eq!(read("tcp:[::1]:8080:80").host_address, Some("::1".parse().unwrap()));
        let bad = [
            "",
            "tcp",
            "tcp:80",
            "80:80",
            "sctp:1:1",
            "tcp:host:1:1",
            "tcp:::1:1:1",
            "tcp:[10.0.0.1]:1:1",
            "tcp:1:65536",
        ];
        for text in bad {
            assert!(forward(text).is_err(), "{text}");
        }
    }
}
