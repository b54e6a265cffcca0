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
    /// Requests to discard that ended, well or not.
    pub(super) discard_requests: Counter,
    /// Requests to discard that failed or were refused.
    pub(super) discard_errors: Counter,
    /// Requests to write zeroes that ended, well or not.
    pub(super) zero_requests: Counter,
    /// Requests to write zeroes that failed or were refused.
    pub(super) zero_errors: Counter,
    /// Times that a write had to wait for space on the host.
    pub(super) space_waits: Counter,
    /// Times that requests had to wait for a limit.
    pub(super) throttle_waits: Counter,
    /// Doorbells that the ringing vCPU answered itself.
    pub(super) vcpu_rounds: Counter,
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
            ("discard_requests", self.discard_requests.get()),
            ("discard_errors", self.discard_errors.get()),
            ("zero_requests", self.zero_requests.get()),
            ("zero_errors", self.zero_errors.get()),
            ("space_waits", self.space_waits.get()),
            ("throttle_waits", self.throttle_waits.get()),
            ("vcpu_rounds", self.vcpu_rounds.get()),
            ("id_requests", self.id_requests.get()),
            ("id_errors", self.id_errors.get()),
            ("unsupported_requests", self.unsupported_requests.get()),
            ("broken_queues", self.broken_queues.get()),
        ]
    }
}
