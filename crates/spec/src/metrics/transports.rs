// SPDX-License-Identifier: Apache-2.0
//! Metrics of the transports, which come beside those of each virtio device.

use super::{Component, Role, count};

pub(super) const PCI: Component = Component {
    name: "pci",
    title: "The PCI function of a virtio device (profile `standard`)",
    role: Role::Transport,
    metrics: &[
        count("pci_activations", "Times the driver made the device work."),
        count("pci_activation_failures", "Activations that failed: bad queues, or the host refused."),
        count("pci_resets", "Resets by the driver."),
        count("pci_needs_resets", "Times the device asked to be reset."),
        count("pci_queue_interrupts", "Interrupts for used buffers."),
        count("pci_config_interrupts", "Interrupts for configuration changes."),
        count("pci_doorbell_exits", "Doorbells that arrived as an exit."),
        count("pci_refused_writes", "Register writes ignored because they break the protocol."),
        count("pci_bar_moves", "Moves of the BAR."),
        count("pci_bar_move_failures", "Moves of the BAR that were not possible."),
        count("pci_doorbell_failures", "Doorbells the host would not bind or release."),
        count("pci_msi_failures", "Vectors the host would not route, mask or unmask."),
    ],
};

pub(super) const MMIO: Component = Component {
    name: "mmio",
    title: "The register page of a virtio device (profile `micro`)",
    role: Role::Transport,
    metrics: &[
        count("mmio_activations", "Times the driver made the device work."),
        count("mmio_activation_failures", "Activations that failed: bad queues, or the host refused."),
        count("mmio_resets", "Resets by the driver."),
        count("mmio_needs_resets", "Times the device asked to be reset."),
        count("mmio_queue_interrupts", "Interrupts for used buffers."),
        count("mmio_config_interrupts", "Interrupts for configuration changes."),
        count("mmio_doorbell_exits", "Doorbells that arrived as an exit."),
        count("mmio_refused_writes", "Register writes ignored because they break the protocol."),
        count("mmio_doorbell_failures", "Doorbells the host would not bind or release."),
    ],
};
