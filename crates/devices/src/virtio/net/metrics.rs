// SPDX-License-Identifier: Apache-2.0
//! Counters of the network interface.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct NetMetrics {
    /// Frames given to the driver.
    pub(super) rx_frames: Counter,
    /// Bytes of them, without their headers.
    pub(super) rx_bytes: Counter,
    /// Frames dropped because the driver's buffers were too small.
    pub(super) rx_dropped: Counter,
    /// Times the driver had no buffer while frames may have waited.
    pub(super) rx_no_buffers: Counter,
    /// Failures of the back-end to receive.
    pub(super) rx_errors: Counter,
    /// Frames the back-end took.
    pub(super) tx_frames: Counter,
    /// Bytes of them, without their headers.
    pub(super) tx_bytes: Counter,
    /// Frames dropped because the back-end was full.
    pub(super) tx_dropped: Counter,
    /// Frames dropped because they, or their headers, made no sense, or the back-end failed.
    pub(super) tx_errors: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl NetMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("rx_frames", self.rx_frames.get()),
            ("rx_bytes", self.rx_bytes.get()),
            ("rx_dropped", self.rx_dropped.get()),
            ("rx_no_buffers", self.rx_no_buffers.get()),
            ("rx_errors", self.rx_errors.get()),
            ("tx_frames", self.tx_frames.get()),
            ("tx_bytes", self.tx_bytes.get()),
            ("tx_dropped", self.tx_dropped.get()),
            ("tx_errors", self.tx_errors.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
