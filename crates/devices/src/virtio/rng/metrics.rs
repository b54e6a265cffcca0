// SPDX-License-Identifier: Apache-2.0
//! Counters of the entropy device.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct RngMetrics {
    /// Requests served.
    pub(super) requests: Counter,
    /// Random bytes given.
    pub(super) bytes: Counter,
    /// Requests cut short because the source failed.
    pub(super) source_failures: Counter,
    /// Times that requests had to wait for a limit.
    pub(super) throttle_waits: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl RngMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("requests", self.requests.get()),
            ("bytes", self.bytes.get()),
            ("source_failures", self.source_failures.get()),
            ("throttle_waits", self.throttle_waits.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
