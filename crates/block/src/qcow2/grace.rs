// SPDX-License-Identifier: Apache-2.0
//! When a cluster that was given up may be used for something else.
//!
//! A request looks up where its data lies and moves it without a lock. If the cluster were handed out again meanwhile,
//! as a table perhaps, the guest would write into a table. So each request says when it starts and ends, and a cluster
//! that was unlinked in epoch `n` is free in epoch `n + 2`: every request that may have seen it is over by then.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the requests under way, by the parity of the epoch they started in.
#[derive(Default)]
pub(super) struct Grace {
    epoch: AtomicU64,
    active: [AtomicU64; 2],
}

/// A request under way.
#[derive(Debug)]
#[must_use]
pub(super) struct Visit {
    parity: bool,
}

impl Grace {
    /// A request starts. It looks nothing up before.
    pub(super) fn enter(&self) -> Visit {
        loop {
            let epoch = self.epoch.load(Ordering::SeqCst);
            let parity = !epoch.is_multiple_of(2);
            self.counter(parity).fetch_add(1, Ordering::SeqCst);
            // An epoch that began in between would not wait for us.
            if self.epoch.load(Ordering::SeqCst) == epoch {
                return Visit { parity };
            }
            self.counter(parity).fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// A request is over.
    #[expect(clippy::needless_pass_by_value, reason = "a visit ends once")]
    pub(super) fn leave(&self, visit: Visit) {
        self.counter(visit.parity).fetch_sub(1, Ordering::SeqCst);
    }

    /// Begins the next epoch if all requests of the one before are over. One caller at a time. Returns the epoch.
    pub(super) fn advance(&self) -> u64 {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let next = epoch + 1;
        if self.counter(!next.is_multiple_of(2)).load(Ordering::SeqCst) == 0 {
            self.epoch.store(next, Ordering::SeqCst);
            return next;
        }
        epoch
    }

    /// The epoch now.
    pub(super) fn now(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    fn counter(&self, parity: bool) -> &AtomicU64 {
        let [even, odd] = &self.active;
        if parity { odd } else { even }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_epochs_pass_only_after_every_older_request_is_over() {
        let grace = Grace::default();
        let visit = grace.enter();
        let unlinked = grace.now();
        for _ in 0..5 {
            grace.advance();
        }
        assert!(grace.now() < unlinked + 2);
        grace.leave(visit);
        for _ in 0..2 {
            grace.advance();
        }
        assert!(grace.now() >= unlinked + 2);
    }

    #[test]
    fn newer_requests_hold_nothing_up_for_ever() {
        let grace = Grace::default();
        let mut visit = grace.enter();
        let unlinked = grace.now();
        for _ in 0..4 {
            grace.advance();
            let next = grace.enter();
            grace.leave(visit);
            visit = next;
        }
        assert!(grace.now() >= unlinked + 2);
        grace.leave(visit);
    }
}
