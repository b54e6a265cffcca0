// SPDX-License-Identifier: Apache-2.0
//! Counters of the transport.

use std::sync::Arc;

use flotilla_device_model::metrics::Counter;

#[derive(Debug, Default)]
pub struct PciMetrics {
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
    /// Moves of the BAR.
    pub bar_moves: Counter,
    /// Moves of the BAR that were not possible.
    pub bar_move_failures: Counter,
    /// Doorbells the host would not bind or release.
    pub doorbell_failures: Arc<Counter>,
    /// Vectors the host would not route, mask or unmask.
    pub msi_failures: Arc<Counter>,
}

impl PciMetrics {
    pub fn values(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("pci_activations", self.activations.get()),
            ("pci_activation_failures", self.activation_failures.get()),
            ("pci_resets", self.resets.get()),
            ("pci_needs_resets", self.needs_resets.get()),
            ("pci_queue_interrupts", self.queue_interrupts.get()),
            ("pci_config_interrupts", self.config_interrupts.get()),
            ("pci_doorbell_exits", self.doorbell_exits.get()),
            ("pci_refused_writes", self.refused_writes.get()),
            ("pci_bar_moves", self.bar_moves.get()),
            ("pci_bar_move_failures", self.bar_move_failures.get()),
            ("pci_doorbell_failures", self.doorbell_failures.get()),
            ("pci_msi_failures", self.msi_failures.get()),
        ]
    }
}
