// SPDX-License-Identifier: Apache-2.0
//! Modern virtio over PCI (virtio 1.2 §4.1): one function, one 64-bit BAR, MSI-X.
//!
//! ```text
//!   BAR 0, 512 KiB
//!   0x00000  common configuration     negotiation, queue set-up         common
//!   0x02000  ISR status               read clears                       interrupt
//!   0x04000  device configuration     passed to the device
//!   0x06000  notify, 4 bytes a queue  ioeventfd, or an exit             doorbells
//!   0x08000  MSI-X table              ┐
//!   0x48000  MSI-X pending bits       ┘                                 pci::msix
//! ```
//!
//! Life of the device behind it:
//!
//! ```text
//!   status 0 ─▶ ACKNOWLEDGE ─▶ DRIVER ─▶ FEATURES_OK ─▶ DRIVER_OK: activate ──fails──▶ DEVICE_NEEDS_RESET
//!      ▲                        features     queues         │                             │
//!      └──────────── write 0: doorbells off, deactivate, registers cleared ◀──────────────┘
//! ```
//!
//! There is no `INTx`: a driver without MSI-X polls the ISR. A device reset leaves MSI-X control as it is, since
//! drivers exist that reset the device and go on with the vectors they have.

mod common;
pub mod device;
mod interrupt;
mod layout;
mod metrics;
mod registers;
mod state;
#[cfg(test)]
mod tests;
