// SPDX-License-Identifier: Apache-2.0
//! How a virtio device appears to its driver. A transport owns registers, negotiation, queue addresses and
//! interrupts; the device behind it knows none of them.
//!
//! - [`pci`]: a PCI function with MSI-X, for the `standard` machine.
//! - [`mmio`]: a page of registers and a wired interrupt, for the `micro` machine.
//!
//! What both need is beside them: the status field and features (`negotiation`), the registers of a queue (`queues`),
//! the eventfds behind the notify registers (`doorbells`).

mod doorbells;
pub mod mmio;
mod negotiation;
pub mod pci;
mod queues;
