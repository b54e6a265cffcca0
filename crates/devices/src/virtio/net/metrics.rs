// SPDX-License-Identifier: Apache-2.0
//! Counters of the network interface.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct NetMetrics {
    /// Frames given to the driver.
    pub(super) rx_frames: Counter,
    /// Bytes of them, without their headers.
    pub(super) rx_bytes: Counter,
    /// Frames dropped because the driver's buffers were too small, or it had not agreed to their kind.
    pub(super) rx_dropped: Counter,
    /// Frames that the driver's filter keeps out.
    pub(super) rx_filtered: Counter,
    /// Times the driver had no buffer while frames may have waited.
    pub(super) rx_no_buffers: Counter,
    /// Times that frames for the driver had to wait for a limit.
    pub(super) rx_throttle_waits: Counter,
    /// Failures of the back-end to receive.
    pub(super) rx_errors: Counter,
    /// Frames the back-end took.
    pub(super) tx_frames: Counter,
    /// Bytes of them, without their headers.
    pub(super) tx_bytes: Counter,
    /// Times that frames of the driver had to wait for a limit.
    pub(super) tx_throttle_waits: Counter,
    /// Frames dropped because the back-end was full or the link down.
    pub(super) tx_dropped: Counter,
    /// Frames dropped because they, or their headers, made no sense, or the back-end failed.
    pub(super) tx_errors: Counter,
    /// Frames dropped because they came from an address that is not the interface's.
    pub(super) tx_spoofed: Counter,
    /// Control commands carried out.
    pub(super) ctrl_commands: Counter,
    /// Control commands refused.
    pub(super) ctrl_refused: Counter,
    /// Times the driver was asked to announce itself.
    pub(super) announcements: Counter,
    /// Times that the network went away for good: one at most.
    pub(super) link_losses: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl NetMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("rx_frames", self.rx_frames.get()),
            ("rx_bytes", self.rx_bytes.get()),
            ("rx_dropped", self.rx_dropped.get()),
            ("rx_filtered", self.rx_filtered.get()),
            ("rx_no_buffers", self.rx_no_buffers.get()),
            ("rx_throttle_waits", self.rx_throttle_waits.get()),
            ("rx_errors", self.rx_errors.get()),
            ("tx_frames", self.tx_frames.get()),
            ("tx_bytes", self.tx_bytes.get()),
            ("tx_throttle_waits", self.tx_throttle_waits.get()),
            ("tx_dropped", self.tx_dropped.get()),
            ("tx_errors", self.tx_errors.get()),
            ("tx_spoofed", self.tx_spoofed.get()),
            ("ctrl_commands", self.ctrl_commands.get()),
            ("ctrl_refused", self.ctrl_refused.get()),
            ("announcements", self.announcements.get()),
            ("link_losses", self.link_losses.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
