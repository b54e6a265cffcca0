// SPDX-License-Identifier: Apache-2.0
//! Virtio over MMIO (virtio 1.2 §4.2), modern registers only: a page of registers and a wired interrupt.
//!
//! ```text
//!   0x000  magic, version, ids, features, queue set-up, notify, interrupt status, status     registers
//!   0x100  device configuration                                                              passed to the device
//! ```
//!
//! The page is announced to the guest by the kernel command line (`virtio_mmio.device=4K@0x…:5`) or by ACPI
//! (`LNRO0005`). All queues share the notify register: the doorbell is the value written to it. The interrupt is an
//! edge: the driver reads and acknowledges the status, then looks at its queues, so edges that merge lose nothing.
//!
//! The life of the device behind it is that of [`super::pci`].

pub mod device;
mod interrupt;
mod metrics;
mod registers;
mod state;
#[cfg(test)]
mod tests;
