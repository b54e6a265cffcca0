// SPDX-License-Identifier: Apache-2.0
//! The kind of machine.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// The kind of machine a guest finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, TS)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// A PC with PCI and ACPI, for any operating system.
    #[default]
    Standard,
    /// Virtio devices on MMIO, no PCI, no ACPI unless asked for: the fastest start. The kernel needs virtio-mmio and, for
    /// devices without ACPI, `CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES`. Without ACPI there is no power button.
    Micro,
}
