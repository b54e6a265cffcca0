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
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Default)]
struct State {
    busy: Vec<Range<u64>>,
    /// Threads that wait. To wake nobody is a system call all the same.
    waiting: usize,
}

/// Ends the exclusion when dropped.
pub(super) struct RangeGuard<'a> {
    lock: &'a RangeLock,
    range: Range<u64>,
}

impl RangeLock {
    /// Waits until nobody else changes one of these clusters. A thread holds one guard at a time.
    pub(super) fn lock(&self, range: Range<u64>) -> RangeGuard<'_> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.busy.iter().any(|other| other.start < range.end && range.start < other.end) {
            state.waiting += 1;
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.waiting -= 1;
        }
        state.busy.push(range.clone());
        RangeGuard { lock: self, range }
    }
}

impl Drop for RangeGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.lock.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = state.busy.iter().position(|range| *range == self.range) {
            state.busy.swap_remove(at);
        }
        let waiting = state.waiting;
        drop(state);
        if waiting > 0 {
            self.lock.freed.notify_all();
        }
    }
}
