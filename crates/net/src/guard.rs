// SPDX-License-Identifier: Apache-2.0
//! What a guest may not ask of a process that opens connections of the host in its place.
//!
//! passt connects to wherever a frame is addressed to. Its versions before 2024 do so with loopback addresses too, and what
//! listens on the loopback of the host trusts whoever comes by it. The unspecified address leads there as well.

/// `EtherType` behind both addresses, and where the addresses of packets behind the Ethernet header are: passt knows no
/// tags.
const KIND: usize = 12;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const IPV4_RECEIVER: usize = 14 + 16;
const IPV6_RECEIVER: usize = 14 + 24;

/// Whether a frame is for the host's loopback: 0.0.0.0/8 and 127.0.0.0/8, and `::/64`, where the unspecified address, the
/// loopback and IPv4 addresses in the clothes of IPv6 are.
pub(crate) fn leads_to_loopback(frame: &[u8]) -> bool {
    let at = |start: usize, len: usize| frame.get(start..start + len);
    match at(KIND, 2) {
        Some(kind) if kind == IPV4 => {
            at(IPV4_RECEIVER, 1).is_some_and(|first| first == [0] || first == [127])
        }
        Some(kind) if kind == IPV6 => at(IPV6_RECEIVER, 8).is_some_and(|prefix| prefix == [0; 8]),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    /// A frame whose packet goes to that address.
    pub(crate) fn frame_to(address: IpAddr) -> Vec<u8> {
        let mut frame = vec![0xff; 60];
        match address {
            IpAddr::V4(address) => {
                frame[12..14].copy_from_slice(&IPV4);
                frame[30..34].copy_from_slice(&address.octets());
            }
            IpAddr::V6(address) => {
                frame[12..14].copy_from_slice(&IPV6);
                frame[38..54].copy_from_slice(&address.octets());
            }
        }
        frame
    }

    #[test]
    fn every_way_to_the_loopback_is_seen_and_no_other() {
        let refused =
            ["127.0.0.1", "127.255.255.254", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::127.0.0.1"];
        for address in refused {
            assert!(leads_to_loopback(&frame_to(address.parse().unwrap())), "{address}");
        }
        for address in
            ["192.0.2.2", "255.255.255.255", "10.0.0.127", "fe80::1", "2001:db8::1", "64:ff9b::7f00:1"]
        {
            assert!(!leads_to_loopback(&frame_to(address.parse().unwrap())), "{address}");
        }
        let mut arp = frame_to(Ipv4Addr::LOCALHOST.into());
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        assert!(!leads_to_loopback(&arp));
        let whole = frame_to(Ipv4Addr::LOCALHOST.into());
        assert!((0..30).all(|len| !leads_to_loopback(&whole[..len])));
    }
}
