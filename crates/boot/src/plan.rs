// SPDX-License-Identifier: Apache-2.0
//! The boot plan: what goes where, as data.

use std::io;

use flotilla_memory::{Bytes, GuestAddress, GuestMemory};

use crate::acpi::{AcpiBus, AcpiOptions, Node, Processor};
use crate::entry::EntryState;
use crate::error::BootError;
use crate::image::{FileKind, Image};
use crate::kernel::{BootProtocol, Kernel, Protocol};
use crate::layout::{ACPI, HIMEM_START, MmioSlot, Window, mmio_slots};
use crate::linux::ZeroPage;
use crate::piece::Piece;
use crate::{acpi, command_line, e820, initrd, linux, mp_table, pvh};

/// The files a guest is booted from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// A vmlinux (ELF) or bzImage.
    pub kernel: &'a dyn Image,
    /// The initial RAM disk.
    pub initrd: Option<&'a dyn Image>,
}

/// What a plan needs to know about the machine.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions<'a> {
    /// Which protocol to use.
    pub protocol: Protocol,
    /// The vCPUs.
    pub processors: &'a [Processor],
    /// NUMA nodes; none on a machine that is all one, and on one without ACPI, which has no table for them.
    pub nodes: &'a [Node],
    /// What the guest is told of the machine.
    pub kind: MachineKind,
    /// Whether it has a watchdog, of which only ACPI has a table.
    pub watchdog: bool,
}

/// What a machine has, and how its guest learns of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineKind {
    /// PCI, told by ACPI tables.
    Standard {
        /// The 64-bit PCI window, if the machine has one.
        pci_window_64: Option<Window>,
    },
    /// No PCI: this many virtio-mmio devices. ACPI tables tell of them, or else the command line, with an MP table that
    /// tells of processors and interrupt lines.
    Micro {
        /// Number of virtio-mmio devices.
        virtio_devices: usize,
        /// Whether there are ACPI tables.
        acpi: bool,
    },
}

impl MachineKind {
    fn has_acpi(self) -> bool {
        matches!(self, Self::Standard { .. } | Self::Micro { acpi: true, .. })
    }
}

/// Everything a guest finds when it starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootPlan {
    /// The protocol in use.
    pub protocol: BootProtocol,
    /// What is written into guest memory.
    pub pieces: Vec<Piece>,
    /// Registers of the first vCPU; the others wait for its start-up interrupt.
    pub entry: EntryState,
}

/// Plans the boot of `sources` with `command_line` on a machine with `memory`. Nothing is written yet.
pub fn plan(
    sources: &Sources<'_>,
    command_line: &str,
    memory: &GuestMemory,
    options: &PlanOptions<'_>,
) -> Result<BootPlan, BootError> {
    if e820::region_of(memory, 0).is_none_or(|(_, end)| end < HIMEM_START) {
        return Err(BootError::DoesNotFit { what: "the first MiB", start: 0, end: HIMEM_START });
    }
    let kernel = Kernel::read(sources.kernel)?;
    let mut pieces = tables(options)?;
    let rsdp = options.kind.has_acpi().then_some(ACPI.start);
    let map = e820::map(memory);
    let loaded = kernel.load(memory, options.protocol)?;
    let command_line = &describing(options.kind, command_line)?;
    pieces.push(command_line::place(command_line, loaded.command_line_max)?);
    let initrd = sources
        .initrd
        .map(|image| initrd::place(image, memory, loaded.end, loaded.initrd_last))
        .transpose()?;
    let initrd_range = initrd::range(initrd.as_ref());
    pieces.extend(linux::descriptor_tables(loaded.protocol != BootProtocol::Pvh));
    if loaded.protocol == BootProtocol::Pvh {
        pieces.extend(pvh::start_info(initrd_range, &map, rsdp));
    } else {
        pieces.push(linux::page_tables());
        pieces.push(linux::zero_page(&ZeroPage {
            header: loaded.header,
            command_line_len: command_line.len() as u64,
            initrd: initrd_range,
            map: &map,
            rsdp,
        })?);
    }
    pieces.extend(loaded.pieces);
    pieces.extend(initrd);
    check_apart(&pieces)?;
    Ok(BootPlan { protocol: loaded.protocol, pieces, entry: loaded.entry })
}

/// Refuses a plan that writes a byte twice: a small kernel of many segments on top of each other would make a load, and each
/// reset, cost many times the machine's memory. All but the kernel's own segments have places that are apart.
fn check_apart(pieces: &[Piece]) -> Result<(), BootError> {
    let mut ranges: Vec<Window> = pieces.iter().map(Piece::range).filter(|range| range.len > 0).collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let apart = ranges.iter().zip(ranges.iter().skip(1)).all(|(range, next)| range.end() <= next.start);
    let detail = "two of its segments lie at the same place in memory";
    if apart { Ok(()) } else { Err(BootError::Malformed { detail }) }
}

/// What tells the guest of its machine, but for the command line.
fn tables(options: &PlanOptions<'_>) -> Result<Vec<Piece>, BootError> {
    let PlanOptions { processors, nodes, kind, watchdog, .. } = *options;
    let bus = match kind {
        MachineKind::Micro { acpi: false, .. } if !nodes.is_empty() => {
            let reason = "only ACPI tells of NUMA nodes: give the machine ACPI, or no nodes";
            return Err(BootError::Tables { reason });
        }
        MachineKind::Micro { acpi: false, .. } if watchdog => {
            let reason = "only ACPI tells of a watchdog: give the machine ACPI, or no watchdog";
            return Err(BootError::Tables { reason });
        }
        MachineKind::Micro { acpi: false, .. } => return mp_table::pieces(processors).map(Vec::from),
        MachineKind::Standard { pci_window_64 } => AcpiBus::Pci { window_64: pci_window_64 },
        MachineKind::Micro { virtio_devices, acpi: true } => AcpiBus::VirtioMmio(slots(virtio_devices)?),
    };
    let tables = acpi::tables(&AcpiOptions { processors, nodes, bus, watchdog })?;
    Ok(tables
        .into_iter()
        .map(|table| Piece::Bytes { what: table.name, address: table.address, data: table.data })
        .collect())
}

/// The command line, which tells a bare machine's kernel of the virtio-mmio devices that no table tells of.
fn describing(kind: MachineKind, command_line: &str) -> Result<String, BootError> {
    match kind {
        MachineKind::Micro { virtio_devices, acpi: false } => {
            Ok(command_line::of_a_bare_machine(&slots(virtio_devices)?, command_line))
        }
        MachineKind::Micro { .. } | MachineKind::Standard { .. } => Ok(command_line.to_owned()),
    }
}

fn slots(count: usize) -> Result<Vec<MmioSlot>, BootError> {
    let reason = "there are too many virtio-mmio devices: give the machine fewer, or the profile `standard`";
    mmio_slots(count).ok_or(BootError::Tables { reason })
}

impl BootPlan {
    /// Writes the plan into guest memory. May be repeated, for a guest that reboots; `sources` are those the plan
    /// was made from.
    pub fn apply(&self, sources: &Sources<'_>, memory: &GuestMemory) -> Result<(), BootError> {
        for piece in &self.pieces {
            if let Piece::Zero { address, len } = *piece {
                clear(memory, address, len)?;
            }
        }
        self.apply_to_new(sources, memory)
    }

    /// The same for memory that nobody has written to yet. Nothing is cleared there: that would break up the huge pages which
    /// the end of the kernel shares with its zeros.
    pub fn apply_to_new(&self, sources: &Sources<'_>, memory: &GuestMemory) -> Result<(), BootError> {
        for piece in &self.pieces {
            match *piece {
                Piece::Zero { .. } => {}
                Piece::Bytes { address, ref data, .. } => write(memory, address, data)?,
                Piece::File { file, offset, address, len } => {
                    let image = match file {
                        FileKind::Kernel => Some(sources.kernel),
                        FileKind::Initrd => sources.initrd,
                    };
                    let image = image.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
                    image
                        .and_then(|image| image.load(offset, memory, GuestAddress(address), len))
                        .map_err(|source| BootError::Read { file, source })?;
                }
            }
        }
        Ok(())
    }
}

fn clear(memory: &GuestMemory, address: u64, len: u64) -> Result<(), BootError> {
    flotilla_memory::clear(memory, GuestAddress(address), len).map_err(|source| BootError::Write {
        address,
        len,
        source,
    })
}

fn write(memory: &GuestMemory, address: u64, data: &[u8]) -> Result<(), BootError> {
    memory.write_slice(data, GuestAddress(address)).map_err(|source| BootError::Write {
        address,
        len: data.len() as u64,
        source,
    })
}
