// SPDX-License-Identifier: Apache-2.0
//! The countdown, and what follows its end.
//!
//! The thread exists from the first start of the watchdog on. A reload does not wake it: there is one wake-up in a countdown at
//! most.

use std::io;
use std::sync::Arc;

use flotilla_device_model::metrics::Counter;
use flotilla_device_model::power::{GuestSignal, GuestSignals};
use flotilla_device_model::threads::{DeviceThreads, ThreadFault, WatchedThread};

use crate::legacy::clock::Clock;
use crate::legacy::timer::{Schedule, Timer};

/// Milliseconds of one count.
pub const PERIOD_MS: u32 = 100;
/// The shortest countdown.
pub const MIN_COUNT: u32 = 1;
/// The longest countdown: an hour.
pub const MAX_COUNT: u32 = 36_000;
/// Where a countdown begins after power-on: 30 seconds.
const DEFAULT_COUNT: u32 = 300;

const NANOSECONDS: u64 = 1_000_000;

/// Nanoseconds of a countdown.
pub(super) fn nanoseconds(count: u32) -> u64 {
    u64::from(count) * u64::from(PERIOD_MS) * NANOSECONDS
}

/// What the guest can see, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers {
    /// Where a countdown begins.
    pub(super) count: u32,
    /// Whether the guest has started the watchdog.
    pub(super) running: bool,
    /// Whether the countdown is over, and nothing has begun it again.
    pub(super) over: bool,
    /// Whether a countdown was over since the last reset of the machine.
    pub(super) expired: bool,
    /// Whether the last reset of the machine was the watchdog's.
    pub(super) status: bool,
    /// Nanoseconds that are left.
    pub(super) left: u64,
}

impl Default for Registers {
    fn default() -> Self {
        Self {
            count: DEFAULT_COUNT,
            running: false,
            over: false,
            expired: false,
            status: false,
            left: nanoseconds(DEFAULT_COUNT),
        }
    }
}

impl Registers {
    /// Begins the countdown again.
    pub(super) fn reload(&mut self) {
        (self.over, self.left) = (false, nanoseconds(self.count));
    }

    /// Whole counts that are left, rounded up.
    pub(super) fn counts_left(&self) -> u32 {
        u32::try_from(self.left.div_ceil(nanoseconds(1))).unwrap_or(u32::MAX)
    }
}

#[derive(Default)]
pub(super) struct State {
    registers: Registers,
    /// The moment at which `left` was true.
    since: u64,
    /// Whether the machine runs.
    working: bool,
}

impl State {
    /// The end of the countdown, if there is one to wait for.
    fn due(&self) -> Option<u64> {
        let Registers { running, over, left, .. } = self.registers;
        (self.working && running && !over).then(|| self.since.saturating_add(left))
    }

    /// Takes off what has passed.
    fn pass(&mut self, now: u64) {
        if self.due().is_some() {
            self.registers.left = self.registers.left.saturating_sub(now.saturating_sub(self.since));
        }
        self.since = now;
    }
}

struct End {
    clock: Arc<dyn Clock>,
    signals: Arc<dyn GuestSignals>,
    expirations: Counter,
}

/// The countdown. It goes on from each `resume` to the next `pause`.
pub(super) struct Countdown(Timer<End>);

impl Countdown {
    pub(super) fn new(device: &str, clock: Arc<dyn Clock>, signals: Arc<dyn GuestSignals>) -> Self {
        let end = End { clock, signals, expirations: Counter::default() };
        Self(Timer::new(device, end, State::default()))
    }

    pub(super) fn watch(&mut self, threads: Arc<dyn DeviceThreads>) {
        self.0.watch(threads);
    }

    /// Countdowns that were over.
    pub(super) fn expirations(&self) -> u64 {
        self.0.schedule().expirations.get()
    }

    pub(super) fn pause(&self) {
        self.change_state(|state| state.working = false);
    }

    pub(super) fn resume(&self) {
        self.change_state(|state| state.working = true);
    }

    /// The registers as they are now.
    pub(super) fn registers(&self) -> Registers {
        self.change_state(|state| state.registers)
    }

    /// Looks at the registers as they are now, or changes them.
    pub(super) fn change(&self, change: impl FnOnce(&mut Registers)) {
        self.change_state(|state| change(&mut state.registers));
    }

    fn change_state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        self.0.change(|end, state| {
            state.pass(end.clock.nanoseconds());
            change(state)
        })
    }

    #[cfg(test)]
    pub(super) fn has_thread(&self) -> bool {
        self.0.has_thread()
    }

    /// Does what its thread does when it wakes.
    #[cfg(test)]
    pub(super) fn wake(&self) {
        self.0.change(End::wake);
    }
}

impl Schedule for End {
    type State = State;

    const THREAD: &'static str = "watchdog";

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn due(&self, state: &State) -> Option<u64> {
        state.due()
    }

    /// Tells of the end while the lock is held: nothing is told any more once `pause` has returned, or the next guest would be
    /// taken to account for this one.
    fn wake(&self, state: &mut State) {
        let now = self.clock.nanoseconds();
        state.pass(now);
        if state.due().is_some_and(|due| due <= now) {
            (state.registers.over, state.registers.expired) = (true, true);
            self.expirations.increment();
            self.signals.signal(GuestSignal::Watchdog);
        }
    }

    /// A watchdog that does not watch is worse than none.
    fn refused(&self, thread: &WatchedThread, error: io::Error) {
        thread.threads.failed(&thread.device, ThreadFault::Failed(error));
    }
}
