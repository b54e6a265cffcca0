// SPDX-License-Identifier: Apache-2.0
//! PCI: one root complex with one bus, reached by ECAM and by ports 0xCF8/0xCFC.
//!
//! ```text
//!   port 0xcf8 ─▶ ConfigPorts ─┐
//!                              ├─▶ PciRoot ─▶ PciFunction (host bridge, ISA bridge, virtio-pci)
//!   ECAM MMIO  ─▶ PciRoot ─────┘                   │ BARs
//!                                                  ▼
//!                                        PciMemory: windows and the MMIO bus
//! ```
//!
//! - [`config`]: registers of a configuration space and who may write them.
//! - [`root`]: from an access to a function.
//! - [`bar`]: base addresses: sizing, halves, moves and their failure.
//! - [`memory`]: the windows that BARs lie in, and the bus they are mapped on.
//! - [`msix`]: the MSI-X capability, table and pending bits.
//! - [`ranges`]: the allocator of window space.
//! - [`bridges`]: the host bridge and ISA bridge of a Q35 board.

pub mod bar;
pub mod bridges;
pub mod config;
pub mod memory;
pub mod msix;
pub mod ranges;
pub mod root;
#[cfg(test)]
mod tests;

use flotilla_device_model::lifecycle::Lifecycle;

/// A function as the root sees it. `offset` and `data` lie inside its 4096 bytes of configuration space and do not
/// cross a multiple of four; `data` has 1, 2 or 4 bytes.
pub trait PciFunction: Lifecycle {
    /// Reads configuration space.
    fn read_config(&self, offset: u16, data: &mut [u8]);
    /// Writes configuration space.
    fn write_config(&self, offset: u16, data: &[u8]);
}
