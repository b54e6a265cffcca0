// SPDX-License-Identifier: Apache-2.0
//! What the thread of the balloon, the vCPUs of its driver and the owner of the machine have in common.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flotilla_device_model::virtio::VirtioInterrupt;
use vmm_sys_util::eventfd::EventFd;

use super::features::Config;
use super::hints::{CMD_ID_DONE, CMD_ID_STOP, Hinted, Hints};
use super::metrics::BalloonMetrics;
use super::statistics::Statistics;

/// How to reach the driver.
pub(super) struct Driver {
    pub(super) interrupt: Arc<dyn VirtioInterrupt>,
    /// Wakes the thread for the statistics, if the driver gives any.
    pub(super) statistics: Option<Arc<EventFd>>,
    /// Whether it names what nobody uses when it is asked to.
    pub(super) hints: bool,
}

/// Locks, in the order they are taken: those of `hints`, then this.
#[derive(Default)]
struct State {
    config: Config,
    driver: Option<Driver>,
    /// The last statistics, and when they came.
    told: Option<(Statistics, Instant)>,
    /// How often they came.
    count: u64,
    /// Whether somebody waits for new ones.
    wanted: bool,
    /// Whether the driver, restored, still has to hear that its round of hints has ended.
    hint_ended: bool,
}

#[derive(Default)]
pub(super) struct Shared {
    pub(super) metrics: BalloonMetrics,
    hints: Hints,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(num_pages: u32) -> Self {
        let shared = Self::default();
        shared.state().config.num_pages = num_pages;
        shared
    }

    pub(super) fn config(&self) -> Config {
        self.state().config
    }

    /// The id of the last round of hints.
    pub(super) fn last_hint(&self) -> u32 {
        self.hints.last()
    }

    /// Takes over what was saved. A round of hints that was under way has ended: nobody waits for it here.
    pub(super) fn restore(&self, mut config: Config, last_hint: u32) {
        self.hints.set_last(last_hint);
        let mut state = self.state();
        state.hint_ended = !matches!(config.free_page_hint_cmd_id, CMD_ID_STOP | CMD_ID_DONE);
        if state.hint_ended {
            config.free_page_hint_cmd_id = CMD_ID_DONE;
        }
        state.config = config;
    }

    /// The driver wrote to the configuration space.
    pub(super) fn write_config(&self, offset: u64, data: &[u8]) {
        let mut state = self.state();
        state.config = state.config.written(offset, data);
    }

    /// Sets the pages that the balloon shall hold, and tells the driver.
    pub(super) fn set_target(&self, num_pages: u32) {
        let mut state = self.state();
        if state.config.num_pages == num_pages {
            return;
        }
        state.config.num_pages = num_pages;
        let interrupt = state.driver.as_ref().map(|driver| Arc::clone(&driver.interrupt));
        drop(state);
        if let Some(interrupt) = interrupt {
            interrupt.signal_config();
        }
    }

    /// A driver is there.
    pub(super) fn attach(&self, driver: Driver) {
        let interrupt = Arc::clone(&driver.interrupt);
        let mut state = self.state();
        state.driver = Some(driver);
        if std::mem::take(&mut state.hint_ended) {
            drop(state);
            interrupt.signal_config();
        }
    }

    /// The driver is gone, and all it said with it. A guest that starts anew has its whole memory.
    pub(super) fn detach(&self) {
        self.hints.abandon();
        let mut state = self.state();
        let num_pages = state.config.num_pages;
        *state = State {
            config: Config { num_pages, ..Config::default() },
            count: state.count,
            ..State::default()
        };
        self.changed.notify_all();
    }

    /// The last statistics, and how old they are.
    pub(super) fn statistics(&self) -> Option<(Statistics, Duration)> {
        self.state().told.map(|(told, when)| (told, when.elapsed()))
    }

    /// Takes statistics of the driver.
    pub(super) fn tell(&self, told: Statistics) {
        let mut state = self.state();
        state.told = Some((told, Instant::now()));
        state.count += 1;
        self.metrics.statistics.increment();
        self.changed.notify_all();
    }

    /// Whether somebody waits for new statistics, who is then taken for served.
    pub(super) fn take_wish(&self) -> bool {
        std::mem::take(&mut self.state().wanted)
    }

    /// Asks the driver for new statistics and waits for them, up to `limit`; whether they came. At once without a driver
    /// that gives any.
    pub(super) fn refresh(&self, limit: Duration) -> bool {
        let mut state = self.state();
        let Some(wake) = state.driver.as_ref().and_then(|driver| driver.statistics.clone()) else {
            return false;
        };
        state.wanted = true;
        let before = state.count;
        // A full counter means that it rings already.
        let _ = wake.write(1);
        let waiting = |state: &mut State| state.count == before && state.driver.is_some();
        let waited = self.changed.wait_timeout_while(state, limit, waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.count != before
    }

    /// Whether there is a driver that names what nobody uses when it is asked to.
    pub(super) fn takes_hints(&self) -> bool {
        self.state().driver.as_ref().is_some_and(|driver| driver.hints)
    }

    /// Asks the driver for what nobody uses now, if it is not at it; the id of the round. `None` without a driver that tells.
    pub(super) fn begin_hints(&self) -> Option<u32> {
        self.takes_hints().then(|| {
            self.hints.begin(|id| {
                self.metrics.hint_rounds.increment();
                self.tell_hint(id);
            })
        })
    }

    /// Waits for all that the driver has to name in a round, up to `limit`, which ends it.
    pub(super) fn wait_for_hints(&self, id: u32, limit: Duration) -> Hinted {
        self.hints.wait(id, limit, || self.tell_hint(CMD_ID_DONE))
    }

    /// The driver said which round of hints it is at.
    pub(super) fn hint_said(&self, id: u32) {
        self.hints.said(id, || self.tell_hint(CMD_ID_DONE));
    }

    /// The driver named ranges that `release` gives back to the host, unless they come too early or too late.
    pub(super) fn hint_named(&self, release: impl FnOnce() -> u64) {
        self.hints.named(&self.metrics, release);
    }

    /// Shows the driver which round it shall work on.
    fn tell_hint(&self, id: u32) {
        let mut state = self.state();
        // One that came meanwhile knows of no round.
        let Some(interrupt) = state.driver.as_ref().map(|driver| Arc::clone(&driver.interrupt)) else {
            return;
        };
        state.config.free_page_hint_cmd_id = id;
        drop(state);
        interrupt.signal_config();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
