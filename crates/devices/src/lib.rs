// SPDX-License-Identifier: Apache-2.0
//! Device models: legacy devices, PCI, virtio devices and their transports.
//!
//! ```text
//!   port and MMIO buses ──▶ legacy/*            16550, i8042, RTC, ACPI fixed hardware, reset, pvpanic, watchdog
//!                      └──▶ pci::PciRoot ──▶ PciFunction
//!                                              └─ transport::pci::VirtioPci ──▶ virtio/{rng, block, net}
//! ```
//!
//! A device knows neither KVM nor a file nor a tap: what it needs is a trait of `flotilla_device_model`,
//! supplied by the crate that assembles the machine. Everything a guest can write is hostile here.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

#[cfg(test)]
mod declared;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod legacy;
pub mod pci;
pub mod transport;
pub mod virtio;
