// SPDX-License-Identifier: Apache-2.0
//! Counters of the transport.

use std::sync::Arc;

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub struct MmioMetrics {
    /// Times the driver made the device work.
    pub activations: Counter,
    /// Activations that failed: bad queues, or the host refused.
    pub activation_failures: Counter,
    /// Resets by the driver.
    pub resets: Counter,
    /// Times the device asked to be reset.
    pub needs_resets: Counter,
    /// Interrupts for used buffers.
    pub queue_interrupts: Counter,
    /// Interrupts for configuration changes.
    pub config_interrupts: Counter,
    /// Doorbells that arrived as an exit.
    pub doorbell_exits: Counter,
    /// Register writes ignored because they break the protocol.
    pub refused_writes: Counter,
    /// Doorbells the host would not bind or release.
    pub doorbell_failures: Arc<Counter>,
}

impl MmioMetrics {
    pub fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("mmio_activations", self.activations.get()),
            ("mmio_activation_failures", self.activation_failures.get()),
            ("mmio_resets", self.resets.get()),
            ("mmio_needs_resets", self.needs_resets.get()),
            ("mmio_queue_interrupts", self.queue_interrupts.get()),
            ("mmio_config_interrupts", self.config_interrupts.get()),
            ("mmio_doorbell_exits", self.doorbell_exits.get()),
            ("mmio_refused_writes", self.refused_writes.get()),
            ("mmio_doorbell_failures", self.doorbell_failures.get()),
        ]
    }
}
