// SPDX-License-Identifier: Apache-2.0
//! Counters of the disk.

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub(super) struct BlockMetrics {
    /// Reads that ended, well or not.
    pub(super) read_requests: Counter,
    /// Bytes read.
    pub(super) read_bytes: Counter,
    /// Reads that failed or were refused.
    pub(super) read_errors: Counter,
    /// Writes that ended, well or not.
    pub(super) write_requests: Counter,
    /// Bytes written.
    pub(super) write_bytes: Counter,
    /// Writes that failed or were refused.
    pub(super) write_errors: Counter,
    /// Flushes the driver asked for.
    pub(super) flush_requests: Counter,
    /// Flushes that failed.
    pub(super) flush_errors: Counter,
    /// Requests for the serial.
    pub(super) id_requests: Counter,
    /// Requests for the serial with too little room.
    pub(super) id_errors: Counter,
    /// Requests of a type this device does not know.
    pub(super) unsupported_requests: Counter,
    /// Queues the driver broke.
    pub(super) broken_queues: Counter,
}

impl BlockMetrics {
    pub(super) fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("read_requests", self.read_requests.get()),
            ("read_bytes", self.read_bytes.get()),
            ("read_errors", self.read_errors.get()),
            ("write_requests", self.write_requests.get()),
            ("write_bytes", self.write_bytes.get()),
            ("write_errors", self.write_errors.get()),
            ("flush_requests", self.flush_requests.get()),
            ("flush_errors", self.flush_errors.get()),
            ("id_requests", self.id_requests.get()),
            ("id_errors", self.id_errors.get()),
            ("unsupported_requests", self.unsupported_requests.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
