// SPDX-License-Identifier: Apache-2.0
//! Counters of persistent memory.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct PmemMetrics {
    /// Flushes the driver asked for.
    pub(super) flush_requests: Counter,
    /// Flushes that failed.
    pub(super) flush_errors: Counter,
    /// Requests of a type the device does not know.
    pub(super) unsupported_requests: Counter,
    /// Writes to memory that may only be read.
    pub(super) refused_writes: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl PmemMetrics {
    pub(super) fn values(&self, mapped: u64) -> Vec<(&'static str, u64)> {
        vec![
            ("flush_requests", self.flush_requests.get()),
            ("flush_errors", self.flush_errors.get()),
            ("unsupported_requests", self.unsupported_requests.get()),
            ("refused_writes", self.refused_writes.get()),
            ("mapped_bytes", mapped),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
