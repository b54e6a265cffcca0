// SPDX-License-Identifier: Apache-2.0
//! ACPI tables as data: the fixed hardware of a Q35 machine, described where that machine has it. A machine without PCI
//! has virtio-mmio devices in its place.
//!
//! ```text
//!   RSDP ─▶ XSDT ─▶ FADT ─▶ FACS, DSDT      MADT: processors and interrupt lines
//!                └▶ MADT, MCFG              MCFG: PCI configuration space
//! ```
//!
//! With NUMA nodes the XSDT lists SRAT and SLIT as well: what belongs to which node, and how far they are apart. With a watchdog
//! it lists WDAT, which says how that is worked.
//!
//! The only variable parts are the processors, the NUMA nodes, the watchdog and what the bus is. Table and field names are those of the ACPI
//! specification 6.5.

mod dsdt;
mod fadt;
mod madt;
mod numa;
mod wdat;

pub use wdat::{WATCHDOG_MAX_COUNT, WATCHDOG_MIN_COUNT, WATCHDOG_PERIOD};

use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use acpi_tables::{Aml, facs::FACS};

use crate::error::BootError;
use crate::layout::{ACPI, ECAM, LAST_PCI_BUS, MmioSlot, Window};

pub(crate) const OEM_ID: [u8; 6] = *b"FLOTIL";
pub(crate) const OEM_TABLE_ID: [u8; 8] = *b"FLOTILLA";
pub(crate) const OEM_REVISION: u32 = 1;

/// FACS wants 64, the others 16; one alignment for all keeps it simple.
const ALIGNMENT: u64 = 64;

/// The variable parts of the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcpiOptions<'a> {
    /// The vCPUs.
    pub processors: &'a [Processor],
    /// NUMA nodes; none on a machine that is all one.
    pub nodes: &'a [Node],
    /// What devices are on.
    pub bus: AcpiBus,
    /// Whether there is a watchdog.
    pub watchdog: bool,
}

/// What the devices of a machine are on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcpiBus {
    /// PCI, with this 64-bit window if the machine has one.
    Pci {
        /// Where 64-bit BARs may be placed.
        window_64: Option<Window>,
    },
    /// Nothing: virtio-mmio devices at these places.
    VirtioMmio(Vec<MmioSlot>),
}

/// A vCPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processor {
    /// Its APIC id.
    pub apic_id: u32,
    /// The number of its NUMA node, zero without any.
    pub node: u32,
}

impl Processor {
    /// So many vCPUs with ids that count from 0, and no nodes.
    pub fn row(count: u32) -> Vec<Self> {
        (0..count).map(|apic_id| Self { apic_id, node: 0 }).collect()
    }
}

/// A NUMA node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its memory.
    pub ranges: Vec<Window>,
    /// The distance to each node; empty where the usual ones do.
    pub distances: Vec<u8>,
}

/// A table and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name, as in the specification.
    pub name: &'static str,
    /// Guest address.
    pub address: u64,
    /// Its bytes, checksum included.
    pub data: Vec<u8>,
}

/// Builds all tables. The root pointer comes first, at the start of [`ACPI`].
pub fn tables(options: &AcpiOptions<'_>) -> Result<Vec<Table>, BootError> {
    let mut placed = Placed::after_root();
    let facs = placed.add("FACS", bytes(&FACS::new()))?;
    let dsdt = placed.add("DSDT", dsdt::dsdt(options))?;
    let fadt = placed.add("FADT", bytes(&fadt::fadt(facs, dsdt)))?;
    let madt = placed.add("MADT", bytes(&madt::madt(options.processors)))?;
    let mut listed = vec![fadt, madt];
    if let AcpiBus::Pci { .. } = options.bus {
        let mut configuration_space = MCFG::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
        configuration_space.add_ecam(ECAM.start, 0, 0, LAST_PCI_BUS);
        listed.push(placed.add("MCFG", bytes(&configuration_space))?);
    }
    if !options.nodes.is_empty() {
        listed.push(placed.add("SRAT", bytes(&numa::srat(options.processors, options.nodes)))?);
        listed.push(placed.add("SLIT", bytes(&numa::slit(options.nodes)))?);
    }
    if options.watchdog {
        listed.push(placed.add("WDAT", bytes(&wdat::wdat()))?);
    }
    let mut root = XSDT::new(OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    for table in listed {
        root.add_entry(u64::from(table));
    }
    let xsdt = placed.add("XSDT", bytes(&root))?;
    let data = bytes(&Rsdp::new(OEM_ID, u64::from(xsdt)));
    placed.tables.insert(0, Table { name: "RSDP", address: ACPI.start, data });
    Ok(placed.tables)
}

/// Tables placed so far, and where the next one goes.
struct Placed {
    tables: Vec<Table>,
    next: u64,
}

impl Placed {
    fn after_root() -> Self {
        Self { tables: Vec::new(), next: ACPI.start + ALIGNMENT }
    }

    /// Places a table and returns its address.
    fn add(&mut self, name: &'static str, data: Vec<u8>) -> Result<u32, BootError> {
        let address = self.next;
        let end = address + data.len() as u64;
        let full = BootError::Tables { reason: "they outgrow their 128 KiB: give the machine fewer vCPUs" };
        if end > ACPI.end() {
            return Err(full);
        }
        self.next = end.next_multiple_of(ALIGNMENT);
        self.tables.push(Table { name, address, data });
        u32::try_from(address).map_err(|_| full)
    }
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests;
