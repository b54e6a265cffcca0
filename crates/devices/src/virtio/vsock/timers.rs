// SPDX-License-Identifier: Apache-2.0
//! Deadlines by token, the next one first.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// At most one deadline for each token.
#[derive(Debug, Default)]
pub(super) struct Timers {
    order: BTreeSet<(Instant, u64)>,
    due: HashMap<u64, Instant>,
}

impl Timers {
    /// Sets the deadline of `token`, in place of one it may have.
    pub(super) fn set(&mut self, token: u64, due: Instant) {
        self.cancel(token);
        self.order.insert((due, token));
        self.due.insert(token, due);
    }

    /// Takes the deadline of `token` away.
    pub(super) fn cancel(&mut self, token: u64) {
        if let Some(due) = self.due.remove(&token) {
            self.order.remove(&(due, token));
        }
    }

    /// The next deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(due, _)| *due)
    }

    /// Moves every deadline into the future.
    pub(super) fn delay(&mut self, by: Duration) {
        for due in self.due.values_mut() {
            *due += by;
        }
        self.order = self.due.iter().map(|(token, due)| (*due, *token)).collect();
    }

    /// Takes out one token whose deadline has passed.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<u64> {
        let (due, token) = *self.order.first()?;
        if due > now {
            return None;
        }
        self.cancel(token);
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_due_in_order_and_once() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.set(1, at(3));
        timers.set(2, at(1));
        timers.set(3, at(2));
        timers.set(1, at(1));
        timers.cancel(3);
        timers.cancel(9);
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.take_due(start), None);
        assert_eq!((timers.take_due(at(1)), timers.take_due(at(1))), (Some(1), Some(2)));
        assert_eq!((timers.take_due(at(9)), timers.next()), (None, None));
    }

    #[test]
    fn a_delay_keeps_the_order() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut timers = Timers::default();
        timers.set(1, at(3));
        timers.set(2, at(1));
        timers.delay(Duration::from_secs(10));
        assert_eq!((timers.take_due(at(3)), timers.next()), (None, Some(at(11))));
        timers.cancel(2);
        assert_eq!((timers.take_due(at(13)), timers.next()), (Some(1), None));
    }
}
