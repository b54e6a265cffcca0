// SPDX-License-Identifier: Apache-2.0
//! Counters that devices keep.

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter that only grows (and wraps after 2^64).
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `amount`.
    pub fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    /// The present value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_wraps() {
        let counter = Counter::default();
        counter.increment();
        counter.add(u64::MAX);
        assert_eq!(counter.get(), 0);
    }
}
