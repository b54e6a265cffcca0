// SPDX-License-Identifier: Apache-2.0
//! Counters of the balloon.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct BalloonMetrics {
    /// Pages the driver put into the balloon.
    pub(super) inflated_pages: Counter,
    /// Pages it took out.
    pub(super) deflated_pages: Counter,
    /// Bytes of pages put in that the host has back.
    pub(super) released_bytes: Counter,
    /// Bytes of reported free pages that the host has back.
    pub(super) reported_bytes: Counter,
    /// Times that the driver was asked for what nobody uses.
    pub(super) hint_rounds: Counter,
    /// Bytes it named then that the host has back.
    pub(super) hinted_bytes: Counter,
    /// Lists of ranges it named then that belong to no round under way.
    pub(super) ignored_hints: Counter,
    /// Pages the driver named that are none of its memory, twice in a list, or too many for one.
    pub(super) ignored_pages: Counter,
    /// Ranges that the host's kernel did not take back.
    pub(super) refused_ranges: Counter,
    /// Times that the guest told how it is off for memory.
    pub(super) statistics: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl BalloonMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("inflated_pages", self.inflated_pages.get()),
            ("deflated_pages", self.deflated_pages.get()),
            ("released_bytes", self.released_bytes.get()),
            ("reported_bytes", self.reported_bytes.get()),
            ("hint_rounds", self.hint_rounds.get()),
            ("hinted_bytes", self.hinted_bytes.get()),
            ("ignored_hints", self.ignored_hints.get()),
            ("ignored_pages", self.ignored_pages.get()),
            ("refused_ranges", self.refused_ranges.get()),
            ("statistics", self.statistics.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
