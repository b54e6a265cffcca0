// SPDX-License-Identifier: Apache-2.0
//! The watchdog as a guest works it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::power::GuestSignal;
use flotilla_testing::driver::wait_until;
use flotilla_testing::signals::FakeSignals;
use proptest::prelude::*;

use super::device::{Expiry, Watchdog};
use super::{MAX_COUNT, MIN_COUNT};
use crate::legacy::clock::fake::FakeClock;
use crate::legacy::clock::{Clock, HostClock};

/// Nanoseconds of one count.
const PERIOD: u64 = 100_000_000;

struct Bench {
    watchdog: Watchdog,
    signals: Arc<FakeSignals>,
}

fn on(clock: Arc<dyn Clock>, expiry: Expiry) -> Bench {
    let signals = Arc::new(FakeSignals::default());
    let watchdog = Watchdog::new(clock, signals.clone(), expiry);
    watchdog.resume();
    Bench { watchdog, signals }
}

/// By a clock that the test sets. The thread sleeps for as long as the time of that clock would take; whether it or the test looks
/// first, an end is told once.
fn still() -> (Bench, Arc<FakeClock>) {
    let clock = Arc::new(FakeClock::default());
    (on(clock.clone(), Expiry::Reset), clock)
}

impl Bench {
    fn byte(&self, offset: u64) -> u8 {
        let mut data = [0];
        self.watchdog.read(offset, &mut data);
        data[0]
    }

    fn word(&self, offset: u64) -> u32 {
        let mut data = [0; 4];
        self.watchdog.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    fn count(&self, count: u32) {
        self.watchdog.write(4, &count.to_le_bytes());
    }

    fn reload(&self) {
        self.watchdog.write(0, &[1]);
    }

    fn start(&self) {
        self.watchdog.write(1, &[1]);
    }

    /// What was told by this moment.
    fn told(&self) -> Vec<GuestSignal> {
        self.watchdog.countdown().wake();
        self.signals.take()
    }
}

#[test]
fn registers_are_those_of_the_table() {
    let (bench, clock) = still();
    assert_eq!((bench.byte(1), bench.byte(2), bench.byte(3), bench.word(4)), (0, 0, 0, 300));
    bench.count(20);
    assert_eq!((bench.word(4), bench.word(8)), (20, 300), "the new count holds from the next reload on");
    bench.start();
    assert_eq!((bench.byte(1), bench.word(8)), (1, 20));
    clock.nanoseconds.store(PERIOD * 5 / 2, Ordering::SeqCst);
    assert_eq!(bench.word(8), 18, "a count that has begun counts");
    bench.reload();
    assert_eq!((bench.word(8), bench.byte(0)), (20, 0));
    bench.watchdog.write(1, &[0]);
    assert_eq!(bench.byte(1), 0);
    clock.nanoseconds.store(PERIOD * 1000, Ordering::SeqCst);
    assert_eq!(bench.word(8), 20, "stopped");
    for (written, count) in [(0, MIN_COUNT), (u32::MAX, MAX_COUNT)] {
        bench.count(written);
        assert_eq!(bench.word(4), count);
    }
    bench.watchdog.write(5, &[1]);
    bench.watchdog.write(4, &[1, 0]);
    assert_eq!(bench.word(4), MAX_COUNT, "not in pieces");
    bench.watchdog.write(2, &[1]);
    assert_eq!(bench.byte(2), 0, "the owner decides what follows");
    assert_eq!((bench.word(12), bench.word(0x1000)), (0, 0));
    assert_eq!(bench.watchdog.metrics(), [("expirations", 0), ("reloads", 1)]);
}

#[test]
fn a_countdown_that_is_over_is_told_once_until_it_begins_again() {
    let (bench, clock) = still();
    bench.count(1);
    bench.start();
    clock.nanoseconds.store(PERIOD - 1, Ordering::SeqCst);
    assert_eq!(bench.told(), []);
    clock.nanoseconds.store(PERIOD, Ordering::SeqCst);
    assert_eq!(bench.told(), [GuestSignal::Watchdog]);
    clock.nanoseconds.store(PERIOD * 3, Ordering::SeqCst);
    assert_eq!((bench.told(), bench.word(8), bench.byte(1)), (vec![], 0, 1));
    bench.reload();
    clock.nanoseconds.store(PERIOD * 4, Ordering::SeqCst);
    assert_eq!(bench.told(), [GuestSignal::Watchdog]);
    assert_eq!(bench.watchdog.metrics(), [("expirations", 2), ("reloads", 1)]);
    crate::declared::assert_declared("watchdog", &bench.watchdog.metrics());
}

#[test]
fn its_thread_wakes_by_itself_and_again_after_a_reload() {
    let bench = on(Arc::new(HostClock::new()), Expiry::Other);
    bench.count(1);
    bench.start();
    wait_until("the countdown is over", || bench.signals.take() == [GuestSignal::Watchdog]);
    bench.reload();
    wait_until("it is over again", || bench.signals.take() == [GuestSignal::Watchdog]);
}

#[test]
fn a_guest_that_reloads_in_time_is_left_alone() {
    let (bench, clock) = still();
    bench.count(15);
    bench.start();
    for _ in 0..18 {
        clock.nanoseconds.fetch_add(PERIOD * 14, Ordering::SeqCst);
        assert_eq!(bench.told(), []);
        bench.reload();
    }
    bench.watchdog.write(1, &[0]);
    clock.nanoseconds.fetch_add(PERIOD * 16, Ordering::SeqCst);
    assert_eq!((bench.told(), bench.watchdog.metrics()[0]), (vec![], ("expirations", 0)));
}

#[test]
fn a_countdown_stands_still_while_the_machine_does() {
    let (bench, clock) = still();
    bench.count(10);
    bench.start();
    clock.nanoseconds.store(PERIOD * 3, Ordering::SeqCst);
    bench.watchdog.pause();
    clock.nanoseconds.store(PERIOD * 3000, Ordering::SeqCst);
    assert_eq!(bench.word(8), 7);
    assert_eq!(bench.told(), []);
    bench.watchdog.resume();
    assert_eq!((bench.word(8), bench.told()), (7, vec![]));
    clock.nanoseconds.fetch_add(PERIOD * 7, Ordering::SeqCst);
    assert_eq!(bench.told(), [GuestSignal::Watchdog]);

    let bench = on(Arc::new(HostClock::new()), Expiry::Reset);
    bench.count(1);
    bench.watchdog.pause();
    bench.start();
    bench.watchdog.resume();
    wait_until("it goes on with the machine", || bench.signals.take() == [GuestSignal::Watchdog]);
}

#[test]
fn the_status_tells_of_a_reset_by_the_watchdog_and_of_no_other() {
    for (expiry, status) in [(Expiry::Reset, 1), (Expiry::PowerOff, 0), (Expiry::Other, 0)] {
        let bench = on(Arc::new(HostClock::new()), expiry);
        bench.count(1);
        bench.start();
        wait_until("the countdown is over", || bench.signals.take() == [GuestSignal::Watchdog]);
        // A guest that comes to itself before the reset changes nothing about it.
        bench.reload();
        let reset = || {
            bench.watchdog.pause();
            bench.watchdog.reset();
            bench.watchdog.resume();
        };
        reset();
        assert_eq!((bench.byte(3), bench.byte(1), bench.word(4)), (status, 0, 300), "{expiry:?}");
        reset();
        assert_eq!(bench.byte(3), 0, "a reset of another cause");
    }
    let bench = on(Arc::new(HostClock::new()), Expiry::Reset);
    bench.count(1);
    bench.start();
    wait_until("the countdown is over", || bench.signals.take() == [GuestSignal::Watchdog]);
    bench.watchdog.pause();
    bench.watchdog.reset();
    bench.watchdog.write(3, &[0]);
    assert_eq!(bench.byte(3), 1);
    bench.watchdog.write(3, &[1]);
    assert_eq!(bench.byte(3), 0);
}

#[test]
fn a_watchdog_that_nobody_starts_has_no_thread() {
    let clock = Arc::new(FakeClock::default());
    let countdown = super::countdown::Countdown::new("watchdog", clock, Arc::new(FakeSignals::default()));
    countdown.resume();
    countdown.change(super::countdown::Registers::reload);
    assert!(!countdown.has_thread());
    countdown.change(|registers| registers.running = true);
    assert!(countdown.has_thread());
}

#[test]
fn goes_on_where_it_was_saved_once_it_is_resumed() {
    let (first, clock) = still();
    first.count(50);
    first.start();
    clock.nanoseconds.store(PERIOD * 20, Ordering::SeqCst);
    first.watchdog.pause();
    clock.nanoseconds.store(PERIOD * 90, Ordering::SeqCst);
    let state = first.watchdog.save().unwrap();
    let (second, clock) = still();
    second.watchdog.pause();
    second.watchdog.restore(&state).unwrap();
    clock.nanoseconds.store(PERIOD * 777, Ordering::SeqCst);
    assert_eq!(second.watchdog.save().unwrap(), state);
    second.watchdog.resume();
    clock.nanoseconds.store(PERIOD * 787, Ordering::SeqCst);
    assert_eq!((second.word(8), second.byte(1)), (20, 1));
}

#[test]
fn a_saved_countdown_ends_in_another_machine() {
    let first = on(Arc::new(HostClock::new()), Expiry::Reset);
    first.count(2);
    first.start();
    first.watchdog.pause();
    let second = on(Arc::new(HostClock::new()), Expiry::Reset);
    second.watchdog.pause();
    second.watchdog.restore(&first.watchdog.save().unwrap()).unwrap();
    second.watchdog.resume();
    wait_until("the countdown is over", || second.signals.take() == [GuestSignal::Watchdog]);
    assert_eq!(first.signals.take(), []);
    second.watchdog.pause();
    let over = second.watchdog.save().unwrap();
    let third = on(Arc::new(HostClock::new()), Expiry::Reset);
    third.watchdog.restore(&over).unwrap();
    assert_eq!((third.told(), third.word(8)), (vec![], 0), "what was told is not told again");
}

#[test]
fn takes_no_state_that_cannot_be() {
    let (bench, _) = still();
    let good = bench.watchdog.save().unwrap();
    bench.watchdog.restore(&good).unwrap();
    for (field, value) in [
        ("count", 0.into()),
        ("count", (MAX_COUNT + 1).into()),
        ("left", u64::MAX.into()),
        ("over", true.into()),
        ("running", serde_json::json!(1)),
        ("surprise", serde_json::json!(1)),
    ] {
        let mut bad = good.clone();
        bad.fields[field] = value;
        assert!(bench.watchdog.restore(&bad).is_err(), "{field}");
        assert_eq!(bench.watchdog.save().unwrap(), good, "{field}");
    }
}

proptest! {
    #[test]
    fn survives_any_access(steps in prop::collection::vec((any::<bool>(), 0..0x14_u64, prop::collection::vec(any::<u8>(), 0..9)), 0..60)) {
        let (bench, clock) = still();
        for (write, offset, mut data) in steps {
            clock.nanoseconds.fetch_add(PERIOD / 3, Ordering::SeqCst);
            if write { bench.watchdog.write(offset, &data) } else { bench.watchdog.read(offset, &mut data) }
        }
        bench.watchdog.pause();
        let state = bench.watchdog.save().unwrap();
        bench.watchdog.restore(&state).unwrap();
        prop_assert_eq!(bench.watchdog.save().unwrap(), state);
    }
}
