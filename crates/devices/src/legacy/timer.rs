// SPDX-License-Identifier: Apache-2.0
//! A thread that sleeps until something of a device is due.
//!
//! It exists from the first time that something is. It does not tick, and a change does not wake it unless something is due
//! earlier than it wakes by itself: what has moved away it finds when it wakes, and sleeps on.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use flotilla_device_model::threads::{DeviceThreads, Unwatched, WatchedThread, named};

use super::clock::Clock;

/// What becomes due.
pub(super) trait Schedule: Send + Sync + 'static {
    /// What changes; behind a lock.
    type State: Send;

    /// The name of the thread.
    const THREAD: &'static str;

    /// By what time things are due.
    fn clock(&self) -> &dyn Clock;

    /// The nanosecond at which the thread has to wake next, if at all.
    fn due(&self, state: &Self::State) -> Option<u64>;

    /// The thread has woken: does what is due by now.
    fn wake(&self, state: &mut Self::State);

    /// The host refuses the thread.
    fn refused(&self, thread: &WatchedThread, error: io::Error);
}

struct Held<T> {
    state: T,
    ended: bool,
    /// When the thread wakes, if it does by itself.
    wakes: Option<u64>,
}

struct Shared<S: Schedule> {
    schedule: S,
    held: Mutex<Held<S::State>>,
    changed: Condvar,
}

/// A schedule with its thread, which ends with it.
pub(super) struct Timer<S: Schedule> {
    shared: Arc<Shared<S>>,
    watched: WatchedThread,
    thread: OnceLock<Option<JoinHandle<()>>>,
}

impl<S: Schedule> Timer<S> {
    pub(super) fn new(device: &str, schedule: S, state: S::State) -> Self {
        let held = Mutex::new(Held { state, ended: false, wakes: None });
        let watched = WatchedThread { device: device.to_owned(), threads: Arc::new(Unwatched) };
        let shared = Arc::new(Shared { schedule, held, changed: Condvar::new() });
        Self { shared, watched, thread: OnceLock::new() }
    }

    pub(super) fn watch(&mut self, threads: Arc<dyn DeviceThreads>) {
        self.watched.threads = threads;
    }

    pub(super) fn schedule(&self) -> &S {
        &self.shared.schedule
    }

    /// Looks at the state.
    pub(super) fn look<T>(&self, look: impl FnOnce(&S::State) -> T) -> T {
        look(&self.shared.lock().state)
    }

    /// Changes something, then sees to it that the thread wakes in time.
    pub(super) fn change<T>(&self, change: impl FnOnce(&S, &mut S::State) -> T) -> T {
        let mut held = self.shared.lock();
        let result = change(&self.shared.schedule, &mut held.state);
        let due = self.shared.schedule.due(&held.state);
        if due.is_some_and(|due| held.wakes.is_none_or(|wakes| due < wakes)) {
            self.thread.get_or_init(|| self.start());
            self.shared.changed.notify_all();
        }
        result
    }

    #[cfg(test)]
    pub(super) fn has_thread(&self) -> bool {
        self.thread.get().is_some()
    }

    fn start(&self) -> Option<JoinHandle<()>> {
        let (shared, watched) = (Arc::clone(&self.shared), self.watched.clone());
        let serve = move || {
            shared.serve();
            Ok(())
        };
        let thread = named(S::THREAD).spawn(move || watched.run(serve));
        thread.map_err(|error| self.shared.schedule.refused(&self.watched, error)).ok()
    }
}

impl<S: Schedule> Drop for Timer<S> {
    fn drop(&mut self) {
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take().flatten() {
            let _ = thread.join();
        }
    }
}

impl<S: Schedule> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Held<S::State>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn serve(&self) {
        let mut held = self.lock();
        while !held.ended {
            self.schedule.wake(&mut held.state);
            held.wakes = self.schedule.due(&held.state);
            held = match held.wakes {
                None => self.changed.wait(held).unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let time = Duration::from_nanos(at.saturating_sub(self.schedule.clock().nanoseconds()));
                    self.changed.wait_timeout(held, time).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}
