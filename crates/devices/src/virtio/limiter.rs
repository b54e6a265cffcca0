// SPDX-License-Identifier: Apache-2.0
//! A queue that keeps to limits: it begins no request while its throttle says so, and is looked at again when that is over.
//!
//! Chains that must wait stay in the available ring. So a pause, a save or a reset finds nothing that is the limiter's.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use flotilla_device_model::metrics::Counter;
use flotilla_device_model::throttle::Throttle;
use flotilla_memory::GuestMemory;

use super::chain::{Chain, QueueError};
use super::queue::DeviceQueue;

/// Keeps one queue to the limits of a throttle, which others may share. Belongs to the thread of the queue.
pub struct Limiter {
    throttle: Arc<Throttle>,
    due: Cell<Option<Instant>>,
}

impl Limiter {
    /// Keeps to the limits of `throttle`.
    pub fn new(throttle: Arc<Throttle>) -> Self {
        Self { throttle, due: Cell::new(None) }
    }

    /// Whether a request may begin. If not, [`Limiter::due`] says when to ask again.
    pub fn is_open(&self) -> bool {
        let due = self.throttle.is_limited().then(|| self.throttle.due(Instant::now())).flatten();
        self.due.set(due);
        due.is_none()
    }

    /// Counts a request of so many bytes that has begun.
    pub fn charge(&self, bytes: u64) {
        if self.throttle.is_limited() {
            self.throttle.charge(bytes, Instant::now());
        }
    }

    /// Serves a queue as far as the limits go, and counts if chains are left that wait for them. `handle` charges what it does.
    pub fn serve(
        &self,
        queue: &mut DeviceQueue,
        waits: &Counter,
        handle: impl FnMut(&Chain, &GuestMemory) -> Result<u32, QueueError>,
    ) -> Result<(), QueueError> {
        queue.serve_while(|| self.is_open(), handle)?;
        if self.due().is_some() && queue.is_waiting() {
            waits.increment();
        }
        Ok(())
    }

    /// When to ask again, if the last answer was no.
    pub fn due(&self) -> Option<Instant> {
        self.due.get()
    }

    /// Whether it is time to ask again. Says so once.
    pub fn expire(&self, now: Instant) -> bool {
        let expired = self.due.get().is_some_and(|due| due <= now);
        if expired {
            self.due.set(None);
        }
        expired
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flotilla_device_model::throttle::{Limits, Rate};

    use super::*;

    #[test]
    fn closes_when_the_bucket_is_empty_and_opens_with_a_change() {
        let start = Instant::now();
        let slow = Limits { bytes: Some(Rate { per_second: 1, burst: 10 }), operations: None };
        let throttle = Arc::new(Throttle::new(slow, start));
        let limiter = Limiter::new(Arc::clone(&throttle));
        assert!(limiter.is_open() && limiter.due().is_none());
        limiter.charge(4000);
        assert!(!limiter.is_open());
        let due = limiter.due().unwrap();
        assert!(due > start + Duration::from_mins(50) && !limiter.expire(start));
        assert!(limiter.expire(due) && !limiter.expire(due), "it is told once");
        throttle.change(Limits::default(), Instant::now());
        assert!(limiter.is_open() && limiter.due().is_none());
        limiter.charge(u64::MAX);
        assert!(limiter.is_open());
    }
}
