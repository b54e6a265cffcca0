// SPDX-License-Identifier: Apache-2.0
//! Token buckets: how much a device may do, and when it may go on.
//!
//! ```text
//!   device ── due(now)? ──▶ Throttle ── Bucket (bytes) ──────▶ None: do a request, then charge(its bytes)
//!                              │     └─ Bucket (operations) ──▶ Some(deadline): come back then, not before
//!                              └ shared by every device of a group
//! ```
//!
//! There is no tick: what has flowed in is computed from the time that has passed, and so is the time at which there will
//! be some again. A request may begin while there is anything at all, and leaves a debt if it is larger than that, which
//! later ones wait for; so a rate holds whatever the sizes of requests are, and none waits for ever.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Nanoseconds in a second.
const SECOND: u128 = 1_000_000_000;
/// The longest wait that is ever asked for: limits may change meanwhile.
const LONGEST: Duration = Duration::from_hours(1);

/// How much may flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Units in a second, for as long as one likes. Zero counts as one.
    pub per_second: u64,
    /// Units that may come at once after a rest, and as much as one request more. Zero counts as what flows in a tenth of a
    /// second; less than what flows in a fiftieth counts as that, so that who comes some milliseconds late loses nothing.
    pub burst: u64,
}

impl Rate {
    fn per_second(self) -> u128 {
        u128::from(self.per_second.max(1))
    }

    fn capacity(self) -> u128 {
        let burst = if self.burst == 0 { self.per_second / 10 } else { self.burst };
        u128::from(burst.max(self.per_second / 50).max(1))
    }
}

/// The limits of a device, or of a group of them. What is absent is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes.
    pub bytes: Option<Rate>,
    /// Operations, whatever their size.
    pub operations: Option<Rate>,
}

/// One bucket. Its content is kept in billionths of a unit, so that nothing is lost to rounding however often it is
/// looked at.
#[derive(Debug)]
struct Bucket {
    rate: Rate,
    /// Negative: a debt.
    content: i128,
    filled_at: Instant,
}

impl Bucket {
    /// A full bucket.
    fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, content: signed(rate.capacity() * SECOND), filled_at: now }
    }

    /// Lets in what has come since the last time.
    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_nanos();
        self.filled_at = self.filled_at.max(now);
        let come = signed(passed.saturating_mul(self.rate.per_second()));
        self.content = self.content.saturating_add(come).min(signed(self.rate.capacity() * SECOND));
    }

    /// When there is a unit again, if there is none now.
    fn due(&self) -> Option<Instant> {
        let missing = signed(SECOND) - self.content;
        if missing <= 0 {
            return None;
        }
        let nanoseconds = missing.unsigned_abs().div_ceil(self.rate.per_second());
        let wait = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)).min(LONGEST);
        Some(self.filled_at + wait)
    }

    fn take(&mut self, units: u64) {
        self.content = self.content.saturating_sub(signed(u128::from(units) * SECOND));
    }

    /// Another rate from now on. A debt stays one, so that a change is no way around the limit; what a smaller bucket
    /// does not hold is lost.
    fn change(&mut self, rate: Rate, now: Instant) {
        self.fill(now);
        self.rate = rate;
        self.content = self.content.min(signed(rate.capacity() * SECOND));
    }
}

/// Units are below 2^64 and seconds below 2^30, so this never saturates in practice.
fn signed(value: u128) -> i128 {
    i128::try_from(value).unwrap_or(i128::MAX)
}

#[derive(Debug)]
struct Buckets {
    bytes: Option<Bucket>,
    operations: Option<Bucket>,
}

/// Limits that are being kept. One of these in an `Arc` is a group: all that hold it share what may flow.
///
/// ```
/// use std::time::{Duration, Instant};
/// use flotilla_device_model::throttle::{Limits, Rate, Throttle};
///
/// let now = Instant::now();
/// let bytes = Some(Rate { per_second: 1000, burst: 500 });
/// let throttle = Throttle::new(Limits { bytes, operations: None }, now);
/// assert_eq!(throttle.due(now), None);
/// throttle.charge(599, now);
/// assert_eq!(throttle.due(now), Some(now + Duration::from_millis(100)));
/// ```
#[derive(Debug)]
pub struct Throttle {
    buckets: Mutex<Buckets>,
    /// Whether there is any limit: most devices have none, and need not look at the clock then.
    limited: AtomicBool,
}

impl Default for Throttle {
    /// No limits.
    fn default() -> Self {
        Self::new(Limits::default(), Instant::now())
    }
}

impl Throttle {
    /// Full buckets.
    pub fn new(limits: Limits, now: Instant) -> Self {
        let bucket = |rate: Option<Rate>| rate.map(|rate| Bucket::new(rate, now));
        Self {
            buckets: Mutex::new(Buckets {
                bytes: bucket(limits.bytes),
                operations: bucket(limits.operations),
            }),
            limited: AtomicBool::new(limits != Limits::default()),
        }
    }

    /// Whether there is any limit at present.
    pub fn is_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    /// When to ask again before the next request; `None`: it may begin. In a group another device may be faster: ask again,
    /// and wait again.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let mut buckets = self.lock();
        let Buckets { bytes, operations } = &mut *buckets;
        let due = [bytes, operations].into_iter().flatten().filter_map(|bucket| {
            bucket.fill(now);
            bucket.due()
        });
        due.max()
    }

    /// Counts one operation of so many bytes, which has begun.
    pub fn charge(&self, bytes: u64, now: Instant) {
        let mut buckets = self.lock();
        let Buckets { bytes: first, operations: second } = &mut *buckets;
        for (bucket, units) in [(first, bytes), (second, 1)] {
            let Some(bucket) = bucket else { continue };
            bucket.fill(now);
            bucket.take(units);
        }
    }

    /// Other limits from now on. A limit that is new begins with a full bucket, one that stays keeps its content. Who
    /// waits asks again at the time it was told, at the latest after an hour; wake it to have it ask at once.
    pub fn change(&self, limits: Limits, now: Instant) {
        let mut buckets = self.lock();
        self.limited.store(limits != Limits::default(), Ordering::Relaxed);
        let Buckets { bytes, operations } = &mut *buckets;
        for (bucket, rate) in [(bytes, limits.bytes), (operations, limits.operations)] {
            match (bucket.as_mut(), rate) {
                (Some(bucket), Some(rate)) => bucket.change(rate, now),
                (_, rate) => *bucket = rate.map(|rate| Bucket::new(rate, now)),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(per_second: u64, burst: u64) -> Limits {
        Limits { bytes: Some(Rate { per_second, burst }), operations: None }
    }

    /// Does a request of this size, if it may begin.
    fn take(throttle: &Throttle, size: u64, now: Instant) -> Result<(), Instant> {
        throttle.due(now).map_or_else(
            || {
                throttle.charge(size, now);
                Ok(())
            },
            Err,
        )
    }

    /// Takes requests of these sizes in turn, each as soon as it may, until `end`; the bytes and operations taken.
    fn run(throttle: &Throttle, sizes: &[u64], start: Instant, end: Instant) -> (u64, u64) {
        let (mut now, mut taken) = (start, (0, 0));
        for size in sizes.iter().copied().cycle() {
            while let Err(due) = take(throttle, size, now) {
                assert!(due > now, "a deadline that has passed makes a busy loop");
                now = due;
            }
            if now >= end {
                return taken;
            }
            taken = (taken.0 + size, taken.1 + 1);
        }
        taken
    }

    #[test]
    fn without_limits_everything_flows() {
        let now = Instant::now();
        let throttle = Throttle::new(Limits::default(), now);
        assert!((0..1000).all(|_| take(&throttle, u64::MAX, now).is_ok()));
    }

    #[test]
    fn a_burst_comes_back_after_a_rest_and_is_no_larger_then() {
        let start = Instant::now();
        let throttle = Throttle::new(bytes(1000, 300), start);
        for now in [start, start + Duration::from_secs(100)] {
            assert_eq!(take(&throttle, 300, now), Ok(()));
            assert_eq!(take(&throttle, 1, now), Err(now + Duration::from_millis(1)));
        }
    }

    #[test]
    fn a_request_larger_than_the_bucket_passes_and_is_paid_for() {
        let start = Instant::now();
        let throttle = Throttle::new(bytes(1000, 100), start);
        assert_eq!(take(&throttle, 1100, start), Ok(()));
        assert_eq!(take(&throttle, 100, start), Err(start + Duration::from_millis(1001)));
        assert_eq!(take(&throttle, u64::MAX, start), Err(start + Duration::from_millis(1001)));
        assert_eq!(take(&throttle, u64::MAX, start + Duration::from_millis(1001)), Ok(()));
        let later = start + Duration::from_secs(2);
        assert_eq!(
            take(&throttle, 1, later),
            Err(later + LONGEST),
            "the debt of centuries is asked about again"
        );
    }

    #[test]
    fn the_tighter_limit_counts_and_what_is_refused_costs_nothing() {
        let start = Instant::now();
        let operations = Some(Rate { per_second: 10, burst: 1 });
        let throttle = Throttle::new(Limits { operations, ..bytes(1_000_000, 1_000_000) }, start);
        assert_eq!(take(&throttle, 1, start), Ok(()));
        for _ in 0..100 {
            assert_eq!(take(&throttle, 999_999, start), Err(start + Duration::from_millis(100)));
        }
        assert_eq!(take(&throttle, 999_999, start + Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn a_change_counts_at_once_and_forgives_no_debt() {
        let start = Instant::now();
        let throttle = Throttle::new(bytes(100, 100), start);
        take(&throttle, 1100, start).unwrap();
        assert_eq!(take(&throttle, 100, start), Err(start + Duration::from_millis(10_010)));
        throttle.change(bytes(1000, 100), start);
        assert_eq!(take(&throttle, 100, start), Err(start + Duration::from_millis(1001)));
        throttle.change(Limits::default(), start);
        assert_eq!(take(&throttle, u64::MAX, start), Ok(()));
        throttle.change(bytes(1000, 100), start);
        assert_eq!(take(&throttle, 100, start), Ok(()), "a new limit begins with a full bucket");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_lets_nothing_in() {
        let earlier = Instant::now();
        let start = earlier + Duration::from_secs(5);
        let throttle = Throttle::new(bytes(1000, 100), start);
        take(&throttle, 100, start).unwrap();
        assert_eq!(take(&throttle, 100, earlier), Err(start + Duration::from_millis(1)));
        assert_eq!(take(&throttle, 100, start), Err(start + Duration::from_millis(1)));
    }

    #[test]
    fn zeroes_are_the_least_there_is() {
        let start = Instant::now();
        let throttle = Throttle::new(bytes(0, 0), start);
        assert_eq!(take(&throttle, 1, start), Ok(()));
        assert_eq!(take(&throttle, 1, start), Err(start + Duration::from_secs(1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn keeps_the_rate_within_five_percent_over_ten_seconds(
            rate in 100_000_u64..10_000_000_000,
            sizes in prop::collection::vec(1_u64..2000, 1..20),
        ) {
            // Sizes that give some thousand requests, each a small part of the whole.
            let sizes: Vec<u64> = sizes.into_iter().map(|size| size * (rate / 100_000)).collect();
            let start = Instant::now();
            let throttle = Throttle::new(bytes(rate, rate / 100), start);
            let (taken, _) = run(&throttle, &sizes, start, start + Duration::from_secs(10));
            let wanted = rate * 10;
            prop_assert!(taken.abs_diff(wanted) * 20 <= wanted, "{taken} of {wanted}");
        }

        #[test]
        fn keeps_the_rate_of_operations_too(rate in 100_u64..2_000, burst in 1_u64..5) {
            let start = Instant::now();
            let limits = Limits { bytes: None, operations: Some(Rate { per_second: rate, burst }) };
            let (_, taken) = run(&Throttle::new(limits, start), &[4096], start, start + Duration::from_secs(10));
            prop_assert!(taken.abs_diff(rate * 10) * 20 <= rate * 10, "{taken} of {}", rate * 10);
        }

        #[test]
        fn no_stretch_of_time_gets_more_than_rate_and_burst(
            rate in 1_u64..1_000_000,
            burst in 1_u64..1_000_000,
            steps in prop::collection::vec((1_u64..5000, 0_u64..2_000_000), 1..200),
        ) {
            let start = Instant::now();
            let throttle = Throttle::new(bytes(rate, burst), start);
            let (mut now, mut taken, mut largest) = (start, 0, 0);
            for (size, micros) in steps {
                now += Duration::from_micros(micros);
                if take(&throttle, size, now).is_ok() {
                    taken += size;
                    largest = size.max(largest);
                }
                let passed = now.duration_since(start).as_micros();
                let most = u128::from(burst.max(rate / 50) + largest) + u128::from(rate) * passed / 1_000_000 + 1;
                prop_assert!(u128::from(taken) <= most, "{taken} > {most}");
            }
        }

        #[test]
        fn a_group_shares_one_rate(rate in 100_000_u64..10_000_000, devices in 2_usize..6) {
            let start = Instant::now();
            let throttle = Throttle::new(bytes(rate, rate / 100), start);
            let end = start + Duration::from_secs(10);
            let mut taken = vec![0; devices];
            let mut due = vec![start; devices];
            loop {
                // Whoever may go on first has the next try.
                let next = (0..devices).min_by_key(|device| due[*device]).unwrap();
                if due[next] >= end {
                    break;
                }
                match take(&throttle, rate / 1000, due[next]) {
                    Ok(()) => taken[next] += rate / 1000,
                    Err(later) => due[next] = later,
                }
            }
            let all: u64 = taken.iter().sum();
            prop_assert!(all.abs_diff(rate * 10) * 20 <= rate * 10, "{all} of {}", rate * 10);
        }

        #[test]
        fn survives_any_numbers(
            rates in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>()), 1..50),
        ) {
            let mut now = Instant::now();
            let throttle = Throttle::new(bytes(1, 1), now);
            for (per_second, burst, size, millis) in rates {
                now += Duration::from_millis(u64::from(millis));
                if let Err(due) = take(&throttle, size, now) {
                    prop_assert!(due > now && due <= now + LONGEST);
                }
                throttle.change(bytes(per_second, burst), now);
            }
        }
    }
}
