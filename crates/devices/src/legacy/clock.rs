// SPDX-License-Identifier: Apache-2.0
//! Time as devices see it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time. Cheap, from any thread.
pub trait Clock: Send + Sync {
    /// Time since 1970-01-01 00:00 UTC.
    fn unix_time(&self) -> Duration;
    /// The same in whole seconds.
    fn unix_seconds(&self) -> u64 {
        self.unix_time().as_secs()
    }
    /// Nanoseconds since some moment in the past; never goes back.
    fn nanoseconds(&self) -> u64;
}

/// The clocks of the host.
#[derive(Debug)]
pub struct HostClock(Instant);

impl HostClock {
    /// A clock whose nanoseconds begin now.
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Default for HostClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for HostClock {
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn nanoseconds(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
pub(crate) mod fake {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::Clock;

    /// A clock the test sets.
    #[derive(Default)]
    pub(crate) struct FakeClock {
        pub(crate) seconds: AtomicU64,
        pub(crate) nanoseconds: AtomicU64,
    }

    impl Clock for FakeClock {
        fn unix_time(&self) -> Duration {
            Duration::from_secs(self.seconds.load(Ordering::SeqCst))
        }

        fn nanoseconds(&self) -> u64 {
            self.nanoseconds.load(Ordering::SeqCst)
        }
    }
}
