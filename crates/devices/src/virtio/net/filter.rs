// SPDX-License-Identifier: Apache-2.0
//! Which received frames the driver wants (virtio 1.2 §5.1.6.5.1 and §5.1.6.5.2).

use serde::{Deserialize, Serialize};

/// A MAC address, in the order of transmission.
pub(super) type Mac = [u8; 6];

/// Addresses kept of each kind. A driver that asks for more gets every frame of that kind, as it may (§5.1.6.5.2).
pub(super) const MAX_ADDRESSES: usize = 64;

const BROADCAST: Mac = [0xff; 6];

/// Whether it is the address of a group, among them the broadcast.
pub(super) fn is_group(mac: Mac) -> bool {
    let [first, ..] = mac;
    first & 1 != 0
}

/// The modes of `VIRTIO_NET_CTRL_RX`, by their command numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Promiscuous,
    AllMulticast,
    AllUnicast,
    NoMulticast,
    NoUnicast,
    NoBroadcast,
}

/// The filter of one interface. Also its saved form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    promiscuous: bool,
    all_multicast: bool,
    all_unicast: bool,
    no_multicast: bool,
    no_unicast: bool,
    no_broadcast: bool,
    /// `None` is a table that was too long to keep: everything is in it.
    unicast: Option<Vec<Mac>>,
    multicast: Option<Vec<Mac>>,
}

impl Default for Filter {
    /// Everything passes until the driver says what it wants.
    fn default() -> Self {
        Self {
            promiscuous: true,
            all_multicast: false,
            all_unicast: false,
            no_multicast: false,
            no_unicast: false,
            no_broadcast: false,
            unicast: Some(Vec::new()),
            multicast: Some(Vec::new()),
        }
    }
}

impl Filter {
    /// Switches a mode.
    pub(super) fn set_mode(&mut self, mode: Mode, on: bool) {
        let flag = match mode {
            Mode::Promiscuous => &mut self.promiscuous,
            Mode::AllMulticast => &mut self.all_multicast,
            Mode::AllUnicast => &mut self.all_unicast,
            Mode::NoMulticast => &mut self.no_multicast,
            Mode::NoUnicast => &mut self.no_unicast,
            Mode::NoBroadcast => &mut self.no_broadcast,
        };
        *flag = on;
    }

    /// Replaces the tables; `None` is one that was too long to keep.
    pub(super) fn set_table(&mut self, unicast: Option<Vec<Mac>>, multicast: Option<Vec<Mac>>) {
        (self.unicast, self.multicast) = (unicast, multicast);
    }

    /// Whether a frame to `to` shall reach a driver with the address `own`.
    pub(super) fn accepts(&self, to: Mac, own: Mac) -> bool {
        if self.promiscuous {
            return true;
        }
        if to == BROADCAST {
            return !self.no_broadcast;
        }
        if is_group(to) {
            return !self.no_multicast && (self.all_multicast || holds(self.multicast.as_deref(), to));
        }
        !self.no_unicast && (self.all_unicast || to == own || holds(self.unicast.as_deref(), to))
    }

    /// Whether a driver could have made it.
    pub(super) fn is_possible(&self) -> bool {
        self.unicast.iter().chain(&self.multicast).all(|table| table.len() <= MAX_ADDRESSES)
    }
}

fn holds(table: Option<&[Mac]>, mac: Mac) -> bool {
    table.is_none_or(|table| table.contains(&mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Mac = [0x52, 0x54, 0, 0, 0, 1];
    const OTHER: Mac = [0x52, 0x54, 0, 0, 0, 2];
    const GROUP: Mac = [0x33, 0x33, 0, 0, 0, 1];

    fn quiet() -> Filter {
        let mut filter = Filter::default();
        filter.set_mode(Mode::Promiscuous, false);
        filter
    }

    #[test]
    fn lets_everything_pass_until_told_otherwise() {
        assert!([OWN, OTHER, GROUP, BROADCAST].into_iter().all(|to| Filter::default().accepts(to, OWN)));
        let passed = [OWN, OTHER, GROUP, BROADCAST].map(|to| quiet().accepts(to, OWN));
        assert_eq!(passed, [true, false, false, true]);
    }

    #[test]
    fn each_mode_does_what_its_name_says() {
        let cases = [
            (Mode::AllMulticast, [true, false, true, true]),
            (Mode::AllUnicast, [true, true, false, true]),
            (Mode::NoUnicast, [false, false, false, true]),
            (Mode::NoBroadcast, [true, false, false, false]),
            (Mode::NoMulticast, [true, false, false, true]),
        ];
        for (mode, expected) in cases {
            let mut filter = quiet();
            filter.set_mode(mode, true);
            assert_eq!(
                [OWN, OTHER, GROUP, BROADCAST].map(|to| filter.accepts(to, OWN)),
                expected,
                "{mode:?}"
            );
            filter.set_mode(mode, false);
            assert_eq!(filter, quiet());
        }
    }

    #[test]
    fn tables_add_addresses_and_one_that_was_too_long_adds_all() {
        let mut filter = quiet();
        filter.set_table(Some(vec![OTHER]), Some(vec![GROUP]));
        assert!(filter.accepts(OTHER, OWN) && filter.accepts(GROUP, OWN));
        assert!(!filter.accepts([2, 0, 0, 0, 0, 9], OWN) && !filter.accepts([3, 0, 0, 0, 0, 9], OWN));
        filter.set_table(None, Some(Vec::new()));
        assert!(filter.accepts([2, 0, 0, 0, 0, 9], OWN) && !filter.accepts(GROUP, OWN));
        assert!(filter.is_possible());
    }
}
