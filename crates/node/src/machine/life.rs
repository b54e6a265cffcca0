// SPDX-License-Identifier: Apache-2.0
//! Whether the worker lives and whether the machine was let go, for threads that wait for either.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flotilla_host::run::WorkerExit;

/// Shared by the machine, its event pump and the watcher of processes.
#[derive(Default)]
pub struct Life {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    exit: Option<WorkerExit>,
    closed: bool,
}

impl Life {
    /// The worker has ended.
    pub fn end(&self, exit: WorkerExit) {
        self.lock().exit = Some(exit);
        self.changed.notify_all();
    }

    /// The machine is let go. Gives whether it already was.
    pub fn close(&self) -> bool {
        let before = std::mem::replace(&mut self.lock().closed, true);
        self.changed.notify_all();
        before
    }

    /// Whether the machine is let go.
    pub fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether the worker has ended.
    pub fn has_ended(&self) -> bool {
        self.lock().exit.is_some()
    }

    /// Waits for the end of the worker, however long; `None` once the machine is let go before that.
    pub fn await_exit(&self) -> Option<WorkerExit> {
        let undecided = |state: &mut State| state.exit.is_none() && !state.closed;
        let state = self.changed.wait_while(self.lock(), undecided).unwrap_or_else(PoisonError::into_inner);
        state.exit
    }

    /// Waits up to `limit` for the end of the worker, let go or not; whether it has ended.
    pub fn wait_end(&self, limit: Duration) -> bool {
        let lives = |state: &mut State| state.exit.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), limit, lives);
        waited.unwrap_or_else(PoisonError::into_inner).0.exit.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
