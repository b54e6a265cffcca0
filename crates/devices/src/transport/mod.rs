// SPDX-License-Identifier: Apache-2.0
//! How a virtio device appears to its driver. A transport owns registers, negotiation, queue addresses and
//! interrupts; the device behind it knows none of them.

pub mod pci;
