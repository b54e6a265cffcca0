// SPDX-License-Identifier: Apache-2.0
//! Counters of a shared folder.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct ShareMetrics {
    /// Interrupts passed on for the back-end.
    pub(super) interrupts: Counter,
    /// Times that the back-end went away: once at most.
    pub(super) losses: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl ShareMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("interrupts", self.interrupts.get()),
            ("losses", self.losses.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
