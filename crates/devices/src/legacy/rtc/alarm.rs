// SPDX-License-Identifier: Apache-2.0
//! When the alarm of the clock goes off next.

use super::{encode, encode_hour};

const DAY: i64 = 86_400;
/// A field whose two upper bits are set agrees with every time.
const ANY: u8 = 0xc0;

/// The alarm registers as the guest wrote them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Alarm {
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    /// Register B, which says in what form they are.
    pub(super) mode: u8,
}

impl Alarm {
    /// The first second after `after`, both in the guest's time, at which the alarm goes off. None if no time of day is
    /// like it: a guest may write anything. Takes a few hundred steps at most.
    pub(super) fn next(self, after: i64) -> Option<i64> {
        let some = |len, agrees: &dyn Fn(i64) -> bool| (0..len).any(agrees);
        let possible = some(24, &|hour| self.hour(hour))
            && some(60, &|minute| self.minute(minute))
            && some(60, &|second| self.second(second));
        let mut at = after.saturating_add(1);
        while possible && at < after.saturating_add(DAY) {
            let time = at.rem_euclid(DAY);
            let step = if !self.hour(time / 3600) {
                3600 - time % 3600
            } else if !self.minute(time / 60 % 60) {
                60 - time % 60
            } else if !self.second(time % 60) {
                1
            } else {
                return Some(at);
            };
            at = at.saturating_add(step);
        }
        // Once a day means a day later at the latest.
        possible.then_some(at)
    }

    fn hour(self, value: i64) -> bool {
        agrees(self.hour, encode_hour(byte(value), self.mode))
    }

    fn minute(self, value: i64) -> bool {
        agrees(self.minute, encode(byte(value), self.mode))
    }

    fn second(self, value: i64) -> bool {
        agrees(self.second, encode(byte(value), self.mode))
    }
}

fn agrees(field: u8, value: u8) -> bool {
    field & ANY == ANY || field == value
}

fn byte(value: i64) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::legacy::rtc::{B_24_HOURS, B_BINARY};

    fn alarm(hour: u8, minute: u8, second: u8) -> Alarm {
        Alarm { hour, minute, second, mode: B_24_HOURS }
    }

    #[test]
    fn goes_off_at_the_next_time_that_is_like_it() {
        let noon = 20_000 * DAY + 12 * 3600;
        assert_eq!(alarm(0x12, 0x00, 0x05).next(noon), Some(noon + 5));
        assert_eq!(
            alarm(0x12, 0x00, 0x00).next(noon),
            Some(noon + DAY),
            "a second later than now at the earliest"
        );
        assert_eq!(alarm(0x11, 0x59, 0x59).next(noon), Some(noon + DAY - 1));
        assert_eq!(alarm(0xff, 0xff, 0x30).next(noon), Some(noon + 30));
        assert_eq!(alarm(0xff, 0xc0, 0xff).next(noon), Some(noon + 1));
        assert_eq!(Alarm { hour: 0x81, mode: 0, ..alarm(0, 0, 0) }.next(noon), Some(noon + 3600), "1 p.m.");
        assert_eq!(Alarm { mode: B_BINARY | B_24_HOURS, ..alarm(13, 45, 59) }.next(noon), Some(noon + 6359));
        for never in [alarm(0x24, 0, 0), alarm(0xff, 0x60, 0), alarm(0xff, 0xff, 0x0a)] {
            assert_eq!(never.next(noon), None, "{never:?}");
        }
        let _ = alarm(0, 0, 0).next(i64::MAX);
    }

    proptest! {
        #[test]
        fn finds_what_looking_at_each_second_finds(
            mut fields in prop::array::uniform3(0_u8..60),
            any in prop::array::uniform3(any::<bool>()),
            after in 0_i64..DAY,
        ) {
            fields[0] %= 24;
            let [hour, minute, second] = [0, 1, 2].map(|at| if any[at] { 0xff } else { fields[at] });
            let alarm = Alarm { hour, minute, second, mode: B_BINARY | B_24_HOURS };
            let slowly = (after + 1..=after + DAY).find(|at| {
                alarm.hour(at / 3600 % 24) && alarm.minute(at / 60 % 60) && alarm.second(at % 60)
            });
            prop_assert_eq!(alarm.next(after), slowly);
        }
    }
}
