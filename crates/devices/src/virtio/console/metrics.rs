// SPDX-License-Identifier: Apache-2.0
//! Counters of the console device.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct ConsoleMetrics {
    /// Bytes to the guest, of all ports.
    pub(super) rx_bytes: Counter,
    /// Bytes from the guest, of all ports.
    pub(super) tx_bytes: Counter,
    /// Times that output of the guest had to wait for its reader.
    pub(super) tx_waits: Counter,
    /// Bytes of output that were more than one buffer may hold.
    pub(super) dropped_bytes: Counter,
    /// Control messages of the driver.
    pub(super) control_received: Counter,
    /// Control messages to the driver.
    pub(super) control_sent: Counter,
    /// Control messages of the driver that made no sense.
    pub(super) control_errors: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl ConsoleMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("rx_bytes", self.rx_bytes.get()),
            ("tx_bytes", self.tx_bytes.get()),
            ("tx_waits", self.tx_waits.get()),
            ("dropped_bytes", self.dropped_bytes.get()),
            ("control_received", self.control_received.get()),
            ("control_sent", self.control_sent.get()),
            ("control_errors", self.control_errors.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
