// SPDX-License-Identifier: Apache-2.0
//! Counters of the socket device.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct VsockMetrics {
    /// Packets to the guest.
    pub(super) rx_packets: Counter,
    /// Bytes of connections to the guest.
    pub(super) rx_bytes: Counter,
    /// Packets from the guest.
    pub(super) tx_packets: Counter,
    /// Bytes of connections from the guest.
    pub(super) tx_bytes: Counter,
    /// Packets from the guest that made no sense.
    pub(super) tx_errors: Counter,
    /// Connections that came about.
    pub(super) connections: Counter,
    /// Connections that did not: nobody there, too many, or no answer in time.
    pub(super) refused: Counter,
    /// Resets sent to the guest.
    pub(super) resets: Counter,
    /// Times the guest was told that all its connections are gone.
    pub(super) transport_resets: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl VsockMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("rx_packets", self.rx_packets.get()),
            ("rx_bytes", self.rx_bytes.get()),
            ("tx_packets", self.tx_packets.get()),
            ("tx_bytes", self.tx_bytes.get()),
            ("tx_errors", self.tx_errors.get()),
            ("connections", self.connections.get()),
            ("refused", self.refused.get()),
            ("resets", self.resets.get()),
            ("transport_resets", self.transport_resets.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
