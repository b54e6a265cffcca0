// SPDX-License-Identifier: Apache-2.0
//! What callers can see of a machine without asking its driver.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flotilla_spec::code::ErrorCode;
use flotilla_spec::report::{MachineEvent, MachineExit, MachineState};

use crate::events::MachineEvents;

struct Status {
    state: MachineState,
    booted: Option<Instant>,
    exit: Option<MachineExit>,
    metrics: BTreeMap<String, u64>,
}

/// State and exit of a machine.
pub struct Shared {
    status: Mutex<Status>,
    ended: Condvar,
}

impl Default for Shared {
    fn default() -> Self {
        let status =
            Status { state: MachineState::Configured, booted: None, exit: None, metrics: BTreeMap::new() };
        Self { status: Mutex::new(status), ended: Condvar::new() }
    }
}

impl Shared {
    /// Publishes a state other than `Stopped`.
    pub fn set_state(&self, state: MachineState) {
        let mut status = self.lock();
        if status.state == MachineState::Stopped {
            return;
        }
        status.state = state;
        // A machine that was restored may wait in a pause for long before it runs.
        if state == MachineState::Running {
            status.booted.get_or_insert_with(Instant::now);
        }
    }

    /// Keeps the counters for those who ask after the end.
    pub fn set_last_metrics(&self, metrics: BTreeMap<String, u64>) {
        self.lock().metrics = metrics;
    }

    /// The counters as they were at the end.
    pub fn last_metrics(&self) -> BTreeMap<String, u64> {
        self.lock().metrics.clone()
    }

    /// Keeps the exit until [`Shared::finish`]. The first one counts.
    pub fn set_exit(&self, exit: MachineExit) {
        self.lock().exit.get_or_insert(exit);
    }

    /// Publishes the end, once everything the machine held is released or given up. Nothing the second time.
    pub fn finish(&self, events: &dyn MachineEvents) {
        let mut status = self.lock();
        if status.state == MachineState::Stopped {
            return;
        }
        status.state = MachineState::Stopped;
        let exit = status.exit.get_or_insert_with(|| {
            MachineExit::error(ErrorCode::CorePanic, "The machine ended without a reason")
        });
        let exit = exit.clone();
        drop(status);
        events.event(MachineEvent::Stopped(exit));
        self.ended.notify_all();
    }

    /// The published state.
    pub fn state(&self) -> MachineState {
        self.lock().state
    }

    /// Time since the guest was first started.
    pub fn uptime(&self) -> Duration {
        self.lock().booted.map_or(Duration::ZERO, |booted| booted.elapsed())
    }

    /// How the machine ended, if it has.
    pub fn exit(&self) -> Option<MachineExit> {
        let status = self.lock();
        status.exit.clone().filter(|_| status.state == MachineState::Stopped)
    }

    /// Waits for the end; without a limit for ever.
    pub fn wait(&self, limit: Option<Duration>) -> Option<MachineExit> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let mut status = self.lock();
        while status.state != MachineState::Stopped {
            status = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                Some(left) if left.is_zero() => return None,
                Some(left) => self.ended.wait_timeout(status, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.ended.wait(status).unwrap_or_else(PoisonError::into_inner),
            };
        }
        status.exit.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_since_the_start_begins_when_the_guest_first_runs() {
        let shared = Shared::default();
        shared.set_state(MachineState::Paused);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(shared.uptime(), Duration::ZERO, "restored and not yet resumed");
        shared.set_state(MachineState::Running);
        let started = shared.uptime();
        shared.set_state(MachineState::Paused);
        std::thread::sleep(Duration::from_millis(2));
        shared.set_state(MachineState::Running);
        assert!(shared.uptime() >= started + Duration::from_millis(2), "a pause belongs to it");
    }
}
