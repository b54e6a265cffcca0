// SPDX-License-Identifier: Apache-2.0
//! The commands of the control queue (virtio 1.2 §5.1.6.5), read from what the driver wrote. Nothing is believed: a
//! length that does not fit, a feature that was not agreed on and a number out of range are all no command.

use super::features::{
    GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, VIRTIO_NET_F_CTRL_MAC_ADDR, VIRTIO_NET_F_CTRL_RX,
    VIRTIO_NET_F_CTRL_RX_EXTRA, VIRTIO_NET_F_GUEST_ANNOUNCE, VIRTIO_NET_F_MQ,
};
use super::filter::{MAX_ADDRESSES, Mac, Mode, is_group};

/// `VIRTIO_NET_CTRL_RX` and the other classes.
const CTRL_RX: u8 = 0;
const CTRL_MAC: u8 = 1;
const CTRL_ANNOUNCE: u8 = 3;
const CTRL_MQ: u8 = 4;
const CTRL_GUEST_OFFLOADS: u8 = 5;

const MAC_TABLE_SET: u8 = 0;
const MAC_ADDR_SET: u8 = 1;

/// Class and command.
const HEADER_LEN: u32 = 2;
const MAC_LEN: u32 = 6;

/// A table that was too long to keep is `None`.
pub(super) type Table = Option<Vec<Mac>>;

/// What the driver asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// A mode of the filter.
    Mode(Mode, bool),
    /// The tables of the filter.
    MacTable { unicast: Table, multicast: Table },
    /// The address of the interface, an individual one.
    MacAddress(Mac),
    /// The driver has announced itself.
    Announced,
    /// The number of pairs, at least 1.
    Pairs(u16),
    /// What the driver takes from now on, out of what was agreed on.
    Offloads(u64),
}

/// What the driver wrote: its length, and a way to copy bytes of it that says whether all of them are there.
pub(super) struct Written<'a> {
    pub(super) len: u32,
    pub(super) copy: &'a dyn Fn(u32, &mut [u8]) -> bool,
}

impl Written<'_> {
    /// `N` bytes at `offset`.
    fn at<const N: usize>(&self, offset: u32) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        (self.copy)(offset, &mut bytes).then_some(bytes)
    }

    /// The whole argument of a command, if it is `N` bytes long.
    fn argument<const N: usize>(&self) -> Option<[u8; N]> {
        let fits = usize::try_from(self.len.checked_sub(HEADER_LEN)?) == Ok(N);
        if fits { self.at(HEADER_LEN) } else { None }
    }

    /// A table of addresses at `offset`, and where it ends.
    fn table(&self, offset: u32) -> Option<(Table, u32)> {
        let count = u32::from_le_bytes(self.at(offset)?);
        let first = offset.checked_add(4)?;
        let end = first.checked_add(count.checked_mul(MAC_LEN)?).filter(|end| *end <= self.len)?;
        if usize::try_from(count).is_ok_and(|count| count > MAX_ADDRESSES) {
            return Some((None, end));
        }
        let macs = (0..count).map(|index| self.at(first + index * MAC_LEN));
        Some((Some(macs.collect::<Option<_>>()?), end))
    }
}

/// The command, if it is one that a driver with these features may give.
pub(super) fn parse(features: u64, written: &Written<'_>) -> Option<Command> {
    let has = |bits: u64| (features & bits == bits).then_some(());
    let [class, command] = written.at(0)?;
    match class {
        CTRL_RX => {
            has(VIRTIO_NET_F_CTRL_RX)?;
            let [on] = written.argument()?;
            let mode = mode(command)?;
            if !matches!(mode, Mode::Promiscuous | Mode::AllMulticast) {
                has(VIRTIO_NET_F_CTRL_RX_EXTRA)?;
            }
            Some(Command::Mode(mode, on != 0))
        }
        CTRL_MAC if command == MAC_TABLE_SET => {
            has(VIRTIO_NET_F_CTRL_RX)?;
            let (unicast, end) = written.table(HEADER_LEN)?;
            let (multicast, end) = written.table(end)?;
            (end == written.len).then_some(Command::MacTable { unicast, multicast })
        }
        CTRL_MAC if command == MAC_ADDR_SET => {
            has(VIRTIO_NET_F_CTRL_MAC_ADDR)?;
            let mac = written.argument()?;
            (mac != [0; 6] && !is_group(mac)).then_some(Command::MacAddress(mac))
        }
        CTRL_ANNOUNCE if command == 0 => {
            has(VIRTIO_NET_F_GUEST_ANNOUNCE)?;
            (written.len == HEADER_LEN).then_some(Command::Announced)
        }
        CTRL_MQ if command == 0 => {
            has(VIRTIO_NET_F_MQ)?;
            let pairs = u16::from_le_bytes(written.argument()?);
            (pairs > 0).then_some(Command::Pairs(pairs))
        }
        CTRL_GUEST_OFFLOADS if command == 0 => {
            has(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)?;
            let offloads = u64::from_le_bytes(written.argument()?);
            (offloads & !(features & GUEST_OFFLOADS) == 0).then_some(Command::Offloads(offloads))
        }
        _ => None,
    }
}

fn mode(command: u8) -> Option<Mode> {
    Some(match command {
        0 => Mode::Promiscuous,
        1 => Mode::AllMulticast,
        2 => Mode::AllUnicast,
        3 => Mode::NoMulticast,
        4 => Mode::NoUnicast,
        5 => Mode::NoBroadcast,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(features: u64, bytes: &[u8]) -> Option<Command> {
        let copy = |offset: u32, place: &mut [u8]| {
            let start = usize::try_from(offset).unwrap();
            let found = start.checked_add(place.len()).and_then(|end| bytes.get(start..end));
            found.map(|found| place.copy_from_slice(found)).is_some()
        };
        parse(features, &Written { len: u32::try_from(bytes.len()).unwrap(), copy: &copy })
    }

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    #[test]
    fn reads_every_command() {
        let table = [&[1, 0, 1, 0, 0, 0][..], &MAC, &[0, 0, 0, 0]].concat();
        let expected = Command::MacTable { unicast: Some(vec![MAC]), multicast: Some(Vec::new()) };
        assert_eq!(read(u64::MAX, &table), Some(expected));
        assert_eq!(read(u64::MAX, &[0, 0, 1]), Some(Command::Mode(Mode::Promiscuous, true)));
        assert_eq!(read(u64::MAX, &[0, 5, 0]), Some(Command::Mode(Mode::NoBroadcast, false)));
        assert_eq!(read(u64::MAX, &[1, 1, 2, 0, 0, 0, 0, 1]), Some(Command::MacAddress(MAC)));
        assert_eq!(read(u64::MAX, &[3, 0]), Some(Command::Announced));
        assert_eq!(read(u64::MAX, &[4, 0, 2, 1]), Some(Command::Pairs(258)));
        assert_eq!(read(u64::MAX, &[5, 0, 2, 0, 0, 0, 0, 0, 0, 0]), Some(Command::Offloads(2)));
    }

    #[test]
    fn a_table_that_is_too_long_to_keep_is_still_read_to_its_end() {
        let long = |count: u32| {
            let mut bytes = vec![1, 0];
            bytes.extend(count.to_le_bytes());
            bytes.extend(vec![2; usize::try_from(count).unwrap() * 6]);
            bytes.extend([0; 4]);
            read(u64::MAX, &bytes)
        };
        assert!(matches!(long(64), Some(Command::MacTable { unicast: Some(macs), .. }) if macs.len() == 64));
        let expected = Command::MacTable { unicast: None, multicast: Some(Vec::new()) };
        assert_eq!(long(65), Some(expected.clone()));
        assert_eq!(long(5000), Some(expected));
    }

    #[test]
    fn refuses_what_is_malformed_out_of_range_or_not_agreed_on() {
        let bad: [&[u8]; 17] = [
            &[],
            &[0],
            &[0, 0],
            &[0, 0, 1, 1],
            &[0, 6, 1],
            &[1, 0],
            &[1, 0, 1, 0, 0, 0],
            &[1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9],
            &[1, 1, 3, 0, 0, 0, 0, 1],
            &[1, 1, 0, 0, 0, 0, 0, 0],
            &[2, 0, 1, 0],
            &[3, 0, 0],
            &[4, 0, 0, 0],
            &[4, 1, 1, 0],
            &[5, 0, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0xff, 0xff, 0xff],
        ];
        for bytes in bad {
            assert_eq!(read(u64::MAX, bytes), None, "{bytes:?}");
        }
        let agreed: [&[u8]; 6] = [
            &[0, 0, 1],
            &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 1, 2, 0, 0, 0, 0, 1],
            &[3, 0],
            &[4, 0, 1, 0],
            &[5, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in agreed {
            assert!(read(u64::MAX, bytes).is_some() && read(0, bytes).is_none(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_gives_a_command_within_its_bounds(
            features in any::<u64>(),
            class in 0_u8..7,
            command in 0_u8..7,
            rest in prop::collection::vec(any::<u8>(), 0..500),
        ) {
            let bytes = [&[class, command][..], &rest].concat();
            match read(features, &bytes) {
                Some(Command::MacTable { unicast, multicast }) => {
                    prop_assert!(unicast.iter().chain(&multicast).all(|table| table.len() <= MAX_ADDRESSES));
                }
                Some(Command::MacAddress(mac)) => prop_assert!(!is_group(mac)),
                Some(Command::Pairs(pairs)) => prop_assert!(pairs > 0),
                Some(Command::Offloads(bits)) => prop_assert_eq!(bits & !features, 0),
                Some(Command::Mode(..) | Command::Announced) | None => {}
            }
        }
    }
}
