// SPDX-License-Identifier: Apache-2.0
//! One change at a time to each guest cluster.
//!
//! A write that allocates copies old data around the new: two of them to one cluster must not overlap in time. There
//! are never more entries than threads that write, so a list is enough.

use std::ops::Range;
use std::sync::{Condvar, Mutex, PoisonError};

/// The clusters being changed.
#[derive(Default)]
pub(super) struct RangeLock {
    busy: Mutex<Vec<Range<u64>>>,
    freed: Condvar,
}

/// Ends the exclusion when dropped.
pub(super) struct RangeGuard<'a> {
    lock: &'a RangeLock,
    range: Range<u64>,
}

impl RangeLock {
    /// Waits until nobody else changes one of these clusters. A thread holds one guard at a time.
    pub(super) fn lock(&self, range: Range<u64>) -> RangeGuard<'_> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while busy.iter().any(|other| other.start < range.end && range.start < other.end) {
            busy = self.freed.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        busy.push(range.clone());
        RangeGuard { lock: self, range }
    }
}

impl Drop for RangeGuard<'_> {
    fn drop(&mut self) {
        let mut busy = self.lock.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = busy.iter().position(|range| *range == self.range) {
            busy.swap_remove(at);
        }
        drop(busy);
        self.lock.freed.notify_all();
    }
}
