// SPDX-License-Identifier: Apache-2.0
//! Withdrawing a long call, and telling how far it is.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::HostError;

/// Progress is told at least this often while bytes move.
const INTERVAL: Duration = Duration::from_millis(200);

type Action = Box<dyn FnOnce() + Send>;

/// Withdraws a call from another thread. Clones share one state.
#[derive(Clone, Default)]
pub struct Cancel(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    cancelled: bool,
    next: u64,
    actions: BTreeMap<u64, Action>,
}

/// Forgets an action of [`Cancel::on_cancel`] when dropped.
pub struct CancelGuard {
    cancel: Cancel,
    key: u64,
}

impl Cancel {
    /// Not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Withdraws the call: runs the actions that wait for it, once.
    pub fn cancel(&self) {
        let actions = {
            let mut state = self.lock();
            state.cancelled = true;
            std::mem::take(&mut state.actions)
        };
        for action in actions.into_values() {
            action();
        }
    }

    /// Whether the call is withdrawn.
    pub fn is_cancelled(&self) -> bool {
        self.lock().cancelled
    }

    /// An error once the call is withdrawn.
    pub fn check(&self) -> Result<(), HostError> {
        if self.is_cancelled() { Err(HostError::Aborted) } else { Ok(()) }
    }

    /// Runs `action` on the thread that cancels, or at once if that has happened. It must not block.
    #[must_use = "the action is forgotten when the guard is dropped"]
    pub fn on_cancel(&self, action: impl FnOnce() + Send + 'static) -> CancelGuard {
        let mut state = self.lock();
        let key = state.next;
        state.next += 1;
        if state.cancelled {
            drop(state);
            action();
        } else {
            state.actions.insert(key, Box::new(action));
        }
        CancelGuard { cancel: self.clone(), key }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for CancelGuard {
    fn drop(&mut self) {
        // Taken out first: an action may own something that cancels when dropped.
        let action = self.cancel.lock().actions.remove(&self.key);
        drop(action);
    }
}

/// Called with (bytes done, bytes in all): at the start, at least every 250 ms while bytes move, and at the end.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Tells progress neither too often nor too seldom.
pub(crate) struct Meter<'a> {
    progress: Progress<'a>,
    total: u64,
    told: Instant,
}

impl<'a> Meter<'a> {
    pub fn start(progress: Progress<'a>, total: u64) -> Self {
        progress(0, total);
        Self { progress, total, told: Instant::now() }
    }

    pub fn at(&mut self, done: u64) {
        if self.told.elapsed() >= INTERVAL {
            (self.progress)(done, self.total);
            self.told = Instant::now();
        }
    }

    pub fn finish(self) {
        (self.progress)(self.total, self.total);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn runs_each_waiting_action_once_and_no_forgotten_one() {
        let count = Arc::new(AtomicU32::new(0));
        let add = |amount| {
            let count = Arc::clone(&count);
            move || {
                count.fetch_add(amount, Ordering::SeqCst);
            }
        };
        let cancel = Cancel::new();
        let kept = cancel.on_cancel(add(1));
        drop(cancel.on_cancel(add(10)));
        cancel.cancel();
        cancel.cancel();
        drop(kept);
        assert_eq!(count.load(Ordering::SeqCst), 1);
        let _late = cancel.on_cancel(add(100));
        assert_eq!(count.load(Ordering::SeqCst), 101);
        assert!(cancel.check().is_err());
    }
}
