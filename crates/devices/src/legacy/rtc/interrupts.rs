// SPDX-License-Identifier: Apache-2.0
//! The interrupts of the clock: each second (update), at the alarm, and a periodic tick, all on one line.
//!
//! What has happened is found by comparing now with the last look: when the guest reads register C or writes a register
//! that matters, and when the thread wakes. The thread exists from the first interrupt that a guest asks for. It sleeps
//! until the next one, and for as long as one waits in register C, since no other can be told until that was read.
//!
//! The wall clock goes on in a pause, so an alarm that came due meanwhile goes off at the end of it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::threads::{DeviceThreads, WatchedThread};
use serde::{Deserialize, Serialize};

use super::alarm::Alarm;
use crate::legacy::clock::Clock;
use crate::legacy::timer::{Schedule, Timer};

/// Flags of register C and, in the same places, what register B enables: update, alarm, periodic tick.
const UPDATE: u8 = 1 << 4;
const ALARM: u8 = 1 << 5;
const TICK: u8 = 1 << 6;
const ALL: u8 = UPDATE | ALARM | TICK;
/// Register C: one of the flags is enabled and set.
const REQUEST: u8 = 1 << 7;

/// Most ticks and wake-ups of the thread in a second. The chip has rates up to 8192 Hz; a guest that chooses them gets
/// this one, so that it cannot keep a processor of the host busy.
const MAX_RATE: u32 = 1024;
const SECOND: u64 = 1_000_000_000;
/// The longest sleep: somebody may set the host's clock.
const LONGEST: u64 = 60 * SECOND;

/// What the guest has set.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Setting {
    /// Register A, whose lower bits give the rate of the tick.
    pub(super) rate: u8,
    pub(super) alarm: Alarm,
    /// Seconds the guest's time is ahead of the host's.
    pub(super) shift: i64,
    /// The guest is setting the time: no updates.
    pub(super) stopped: bool,
}

impl Setting {
    fn enabled(&self) -> u8 {
        self.alarm.mode & ALL
    }

    /// Ticks in a second, if any.
    fn frequency(&self) -> Option<u32> {
        match self.rate & 0x0f {
            0 => None,
            rate @ (1 | 2) => Some(256 >> (rate - 1)),
            rate => Some((32_768 >> (rate - 1)).min(MAX_RATE)),
        }
    }
}

/// The saved form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    /// Flags of register C that were not read.
    flags: u8,
    /// Second of the host's time up to which updates and alarms were looked for.
    second: i64,
}

impl Seen {
    pub(super) fn is_possible(self) -> bool {
        self.flags & !ALL == 0
    }
}

pub(super) struct State {
    setting: Setting,
    seen: Seen,
    /// Moment up to which ticks were looked for.
    ticks: u64,
    high: bool,
    working: bool,
}

struct Source {
    clock: Arc<dyn Clock>,
    line: Arc<dyn InterruptLine>,
    raised: Counter,
}

/// The interrupts of a clock. They come from the first `resume` on.
pub(super) struct Interrupts(Timer<Source>);

impl Interrupts {
    pub(super) fn new(device: &str, clock: Arc<dyn Clock>, line: Arc<dyn InterruptLine>) -> Self {
        let state = State {
            setting: Setting::default(),
            seen: Seen { flags: 0, second: second(clock.as_ref()) },
            ticks: clock.nanoseconds(),
            high: false,
            working: false,
        };
        Self(Timer::new(device, Source { clock, line, raised: Counter::default() }, state))
    }

    pub(super) fn watch(&mut self, threads: Arc<dyn DeviceThreads>) {
        self.0.watch(threads);
    }

    /// Interrupts raised so far.
    pub(super) fn raised(&self) -> u64 {
        self.0.schedule().raised.get()
    }

    /// Takes over what the guest has set.
    pub(super) fn set(&self, setting: Setting) {
        self.change(|source, state| {
            source.look(state);
            state.setting = setting;
        });
    }

    /// Reads register C, which clears it.
    pub(super) fn take(&self) -> u8 {
        self.change(|source, state| {
            source.look(state);
            let request = if state.is_requested() { REQUEST } else { 0 };
            std::mem::take(&mut state.seen.flags) | request
        })
    }

    pub(super) fn pause(&self) {
        self.change(|_, state| state.working = false);
    }

    /// Goes on, also after a restore: what waits is told once more, since nobody can say whether it was.
    pub(super) fn resume(&self) {
        self.change(|source, state| {
            state.working = true;
            source.look(state);
            state.high = false;
            source.line.set_level(false);
        });
    }

    /// Forgets what has happened.
    pub(super) fn reset(&self, setting: Setting) {
        self.set(setting);
        self.take();
    }

    pub(super) fn save(&self) -> Seen {
        self.0.look(|state| state.seen)
    }

    pub(super) fn restore(&self, seen: Seen, setting: Setting) {
        self.change(|_, state| (state.seen, state.setting) = (seen, setting));
    }

    /// Changes something, then drives the line.
    fn change<T>(&self, change: impl FnOnce(&Source, &mut State) -> T) -> T {
        self.0.change(|source, state| {
            let result = change(source, state);
            source.drive(state);
            result
        })
    }
}

impl State {
    fn is_requested(&self) -> bool {
        self.seen.flags & self.setting.enabled() != 0
    }
}

impl Source {
    /// Sets the flags of what has happened since the last look.
    fn look(&self, state: &mut State) {
        let (second, nanoseconds) = (second(self.clock.as_ref()), self.clock.nanoseconds());
        let Setting { alarm, shift, stopped, .. } = state.setting;
        if !stopped && second != state.seen.second {
            state.seen.flags |= UPDATE;
            let alarm = alarm.next(state.seen.second.saturating_add(shift));
            if alarm.is_some_and(|at| at <= second.saturating_add(shift)) {
                state.seen.flags |= ALARM;
            }
        }
        if state.setting.frequency().is_some_and(|rate| tick(nanoseconds, rate) != tick(state.ticks, rate)) {
            state.seen.flags |= TICK;
        }
        (state.seen.second, state.ticks) = (second, nanoseconds);
    }

    fn drive(&self, state: &mut State) {
        let high = state.is_requested();
        if high != state.high && state.working {
            state.high = high;
            self.line.set_level(high);
            if high {
                self.raised.increment();
            }
        }
    }
}

impl Schedule for Source {
    type State = State;

    const THREAD: &'static str = "rtc";

    fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    fn due(&self, state: &State) -> Option<u64> {
        if !state.working || state.is_requested() {
            return None;
        }
        let (time, now) = (self.clock.unix_time(), self.clock.nanoseconds());
        let Setting { alarm, shift, stopped, .. } = state.setting;
        let enabled = |flag| state.setting.enabled() & flag != 0 && (flag == TICK || !stopped);
        // From the second that was looked at: when it is over by now, the next look is at once.
        let seen = u64::try_from(state.seen.second).unwrap_or_default();
        let next_second = Duration::from_secs(seen.saturating_add(1)).saturating_sub(time);
        let next_second = u64::try_from(next_second.as_nanos()).unwrap_or(LONGEST);
        let update = enabled(UPDATE).then_some(next_second);
        let alarm = enabled(ALARM).then(|| alarm.next(state.seen.second.saturating_add(shift))).flatten();
        let alarm = alarm.map(|at| {
            let seconds = at.saturating_sub(shift).saturating_sub(state.seen.second).saturating_sub(1);
            u64::try_from(seconds).unwrap_or_default().saturating_mul(SECOND).saturating_add(next_second)
        });
        let tick =
            enabled(TICK).then(|| state.setting.frequency()).flatten().map(|rate| until_tick(now, rate));
        // A wall clock that is slewed may ask for very short waits; ticks are never more than the highest rate.
        let wall = update.into_iter().chain(alarm).min().map(|wait| wait.max(SECOND / u64::from(MAX_RATE)));
        let wait = wall.into_iter().chain(tick).min()?;
        Some(now.saturating_add(wait.min(LONGEST)))
    }

    fn wake(&self, state: &mut State) {
        if state.working {
            self.look(state);
            self.drive(state);
        }
    }

    fn refused(&self, _: &WatchedThread, error: io::Error) {
        tracing::error!(%error, "the clock of the guest raises no interrupts");
    }
}

fn second(clock: &dyn Clock) -> i64 {
    i64::try_from(clock.unix_seconds()).unwrap_or(i64::MAX / 2)
}

/// Number of the tick at a moment.
fn tick(nanoseconds: u64, rate: u32) -> u128 {
    u128::from(nanoseconds) * u128::from(rate) / u128::from(SECOND)
}

fn until_tick(nanoseconds: u64, rate: u32) -> u64 {
    let next = ((tick(nanoseconds, rate) + 1) * u128::from(SECOND)).div_ceil(u128::from(rate));
    u64::try_from(next).unwrap_or(u64::MAX).saturating_sub(nanoseconds)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::Instant;

    use flotilla_testing::driver::wait_until;
    use flotilla_testing::interrupts::FakeLine;

    use super::*;
    use crate::legacy::clock::HostClock;
    use crate::legacy::clock::fake::FakeClock;

    const B_24_HOURS: u8 = 1 << 1;
    const EVERY_SECOND: Alarm = Alarm { hour: 0xff, minute: 0xff, second: 0xff, mode: 0 };

    fn on(clock: Arc<dyn Clock>) -> (Interrupts, Arc<FakeLine>) {
        let line = Arc::new(FakeLine::default());
        let interrupts = Interrupts::new("rtc", clock, line.clone());
        interrupts.resume();
        (interrupts, line)
    }

    fn still() -> (Interrupts, Arc<FakeLine>, Arc<FakeClock>) {
        let clock = Arc::new(FakeClock::default());
        let (interrupts, line) = on(clock.clone());
        (interrupts, line, clock)
    }

    fn running() -> (Interrupts, Arc<FakeLine>) {
        on(Arc::new(HostClock::new()))
    }

    /// Midnight and `second` seconds as the alarm, with these interrupts enabled.
    fn alarm(second: u8, enabled: u8) -> Setting {
        let alarm = Alarm { second, mode: B_24_HOURS | enabled, ..Alarm::default() };
        Setting { alarm, ..Setting::default() }
    }

    fn enabled(enabled: u8, rate: u8) -> Setting {
        Setting { rate, alarm: Alarm { mode: enabled, ..EVERY_SECOND }, ..Setting::default() }
    }

    #[test]
    fn register_c_tells_what_happened_since_it_was_read() {
        let (interrupts, line, clock) = still();
        interrupts.set(Setting { rate: 0x26, ..alarm(5, 0) });
        assert_eq!(interrupts.take(), 0);
        clock.seconds.store(4, Ordering::SeqCst);
        assert_eq!((interrupts.take(), interrupts.take()), (UPDATE, 0));
        clock.seconds.store(70, Ordering::SeqCst);
        clock.nanoseconds.store(SECOND / 1000, Ordering::SeqCst);
        assert_eq!((interrupts.take(), interrupts.take()), (UPDATE | ALARM | TICK, 0), "none is enabled");
        clock.seconds.store(200_000, Ordering::SeqCst);
        interrupts.set(alarm(5, ALARM));
        assert!(line.is_high(), "the flag was set before");
        assert_eq!(interrupts.take(), REQUEST | UPDATE | ALARM);
        assert!(!line.is_high());
        clock.seconds.store(300, Ordering::SeqCst);
        assert_eq!(interrupts.take(), UPDATE, "the host's clock was set back");
        interrupts.set(Setting { stopped: true, ..alarm(5, ALARM) });
        clock.seconds.store(200_000, Ordering::SeqCst);
        assert_eq!(interrupts.take(), 0, "the guest sets the time");
    }

    #[test]
    fn each_interrupt_comes_by_itself_and_once_until_register_c_is_read() {
        for (what, times) in [(enabled(UPDATE, 0), 2), (enabled(ALARM, 0), 2), (enabled(TICK, 0x2f), 4)] {
            let (interrupts, line) = running();
            interrupts.set(what);
            for time in 1..=times {
                wait_until("the line rises", || line.is_high());
                std::thread::sleep(Duration::from_millis(10));
                assert_eq!((line.edges(), interrupts.raised()), (time, time));
                assert_eq!(interrupts.take() & (REQUEST | what.enabled()), REQUEST | what.enabled());
            }
            interrupts.set(Setting::default());
            std::thread::sleep(Duration::from_millis(600));
            assert_eq!(line.edges(), times, "switched off");
        }
    }

    #[test]
    fn a_clock_that_is_not_asked_has_no_thread() {
        let (interrupts, ..) = still();
        interrupts.set(alarm(5, 0));
        interrupts.take();
        interrupts.pause();
        interrupts.resume();
        assert!(!interrupts.0.has_thread());
    }

    #[test]
    fn the_fastest_rate_keeps_the_host_busy_a_thousand_times_a_second_at_most() {
        for rate in [3, 4, 5, 6] {
            assert_eq!(enabled(TICK, rate).frequency(), Some(1024));
        }
        assert_eq!(
            [0, 1, 2, 7, 15].map(|rate| enabled(TICK, rate).frequency()),
            [None, Some(256), Some(128), Some(512), Some(2)]
        );
        let (interrupts, line) = running();
        interrupts.set(enabled(TICK, 0x23));
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(300) {
            interrupts.take();
            interrupts.set(enabled(0, 0x23));
            interrupts.set(enabled(TICK, 0x23));
        }
        let most = started.elapsed().as_micros() * u128::from(MAX_RATE) / 1_000_000 + 2;
        assert!((1..=most).contains(&line.edges().into()), "{} of {most}", line.edges());
    }

    #[test]
    fn the_next_look_is_at_the_next_tick_or_second_however_late_the_last_one_was() {
        let (interrupts, _, clock) = still();
        let due = |interrupts: &Interrupts| interrupts.0.look(|state| interrupts.0.schedule().due(state));
        interrupts.set(enabled(TICK, 0x26));
        clock.nanoseconds.store(100_000, Ordering::SeqCst);
        assert_eq!(due(&interrupts), Some(976_563), "1024 Hz");
        interrupts.set(enabled(UPDATE, 0));
        assert_eq!(due(&interrupts), Some(100_000 + SECOND));
        for setting in [enabled(UPDATE, 0), alarm(1, ALARM)] {
            clock.seconds.store(0, Ordering::SeqCst);
            let (interrupts, _) = on(clock.clone());
            interrupts.set(setting);
            clock.seconds.store(1, Ordering::SeqCst);
            assert_eq!(
                due(&interrupts),
                Some(100_000 + SECOND / 1024),
                "a second began after the look: {setting:?}"
            );
        }
    }

    #[test]
    fn nothing_comes_in_a_pause_and_what_came_due_at_its_end() {
        let (interrupts, line) = running();
        interrupts.set(enabled(TICK, 0x26));
        wait_until("the line rises", || line.is_high());
        interrupts.pause();
        interrupts.take();
        let edges = line.edges();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(line.edges(), edges);
        interrupts.resume();
        wait_until("the line rises again", || line.edges() > edges);
        assert!(interrupts.raised() > 1);

        let (interrupts, line, clock) = still();
        interrupts.set(alarm(5, ALARM));
        interrupts.pause();
        clock.seconds.store(3600, Ordering::SeqCst);
        interrupts.resume();
        assert!(line.is_high());
    }

    #[test]
    fn what_was_not_read_and_what_came_due_are_told_after_a_restore() {
        for (second, before) in [(5, 5), (5, 0)] {
            let (first, _, clock) = still();
            first.set(alarm(second, ALARM));
            clock.seconds.store(before, Ordering::SeqCst);
            first.set(alarm(second, ALARM));
            first.pause();
            let seen = first.save();
            assert!(seen.is_possible());
            let clock = Arc::new(FakeClock::default());
            clock.seconds.store(3600, Ordering::SeqCst);
            let line = Arc::new(FakeLine::default());
            let interrupts = Interrupts::new("rtc", clock, line.clone());
            interrupts.restore(seen, alarm(second, ALARM));
            assert_eq!(interrupts.save(), seen);
            assert!(!line.is_high(), "before the resume");
            interrupts.resume();
            assert_eq!((line.is_high(), interrupts.take() & ALARM), (true, ALARM));
        }
        assert!(!Seen { flags: REQUEST, second: 0 }.is_possible());
        let (interrupts, ..) = still();
        for second in [i64::MIN, i64::MAX] {
            interrupts.restore(Seen { flags: 0, second }, alarm(1, ALL));
            interrupts.resume();
            interrupts.take();
        }
    }

    #[test]
    fn a_reset_forgets_and_lowers_the_line() {
        let (interrupts, line, clock) = still();
        interrupts.set(alarm(5, ALARM));
        clock.seconds.store(10, Ordering::SeqCst);
        interrupts.set(alarm(5, ALARM));
        assert!(line.is_high());
        interrupts.pause();
        interrupts.reset(Setting::default());
        interrupts.resume();
        assert_eq!((line.is_high(), interrupts.take()), (false, 0));
    }
}
