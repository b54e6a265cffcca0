// SPDX-License-Identifier: Apache-2.0
//! Who answers a doorbell when the content of the disk lies in memory: the vCPU that rings, or the queue's thread.
//!
//! A copy takes less time than it takes to wake another thread, to put the vCPU to sleep and to wake it again. So a
//! driver that waits for each request is answered on its own vCPU. A driver that has many in flight is not: the thread
//! works beside it, and one doorbell and one interrupt serve a whole batch.
//!
//! Which kind of driver it is shows only when it is left alone: answered at once, it never has more than one in flight.
//! So now and then a doorbell goes to the thread, which sees how many requests come together.

/// Rounds of one small request, one after the other, that make the thread leave the work to the vCPU.
const SINGLES: u8 = 8;
/// Every so many doorbells one is left to the thread.
const PROBE: u8 = 64;
/// What a round may move in bytes to be worth a vCPU's time.
const SMALL: u64 = 32 << 10;

/// What the rounds of a queue have been like.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Rounds of one small request in a row, as the thread saw them.
    singles: u8,
    /// Doorbells until the next one that goes to the thread; 0: all go there.
    left: u8,
}

impl Pace {
    /// Whether the vCPU that rings shall do the work.
    pub(super) fn is_for_vcpu(&mut self) -> bool {
        if self.singles < SINGLES {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.left = PROBE;
            return false;
        }
        true
    }

    /// The thread served a round of so many requests and bytes.
    pub(super) fn thread_served(&mut self, requests: u16, bytes: u64) {
        match requests {
            // The vCPU was faster.
            0 => {}
            1 if bytes <= SMALL => {
                self.singles = self.singles.saturating_add(1).min(SINGLES);
                self.left = self.left.max(1);
            }
            _ => self.singles = 0,
        }
    }

    /// A vCPU served a round of so many bytes.
    pub(super) fn vcpu_served(&mut self, bytes: u64) {
        if bytes > SMALL {
            self.singles = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_one_by_one() -> Pace {
        let mut pace = Pace::default();
        for _ in 0..SINGLES {
            assert!(!pace.is_for_vcpu());
            pace.thread_served(1, 4096);
        }
        pace
    }

    #[test]
    fn one_by_one_is_for_the_vcpu_but_for_a_probe() {
        let mut pace = for_one_by_one();
        let mut probes = 0;
        for _ in 0..640 {
            if pace.is_for_vcpu() {
                pace.vcpu_served(4096);
            } else {
                probes += 1;
                pace.thread_served(1, 4096);
            }
        }
        assert_eq!(probes, 10);
    }

    #[test]
    fn batches_and_large_requests_are_for_the_thread() {
        let mut pace = for_one_by_one();
        pace.thread_served(0, 0);
        pace.thread_served(2, 8192);
        assert!((0..200).all(|_| !pace.is_for_vcpu()));
        let mut pace = for_one_by_one();
        pace.is_for_vcpu();
        pace.vcpu_served(128 << 10);
        assert!(!pace.is_for_vcpu());
    }
}
