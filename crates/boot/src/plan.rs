// SPDX-License-Identifier: Apache-2.0
//! The boot plan: what goes where, as data.

use std::io;

use flotilla_memory::{Bytes, GuestAddress, GuestMemory};

use crate::acpi::AcpiOptions;
use crate::entry::EntryState;
use crate::error::BootError;
use crate::image::{FileKind, Image};
use crate::kernel::{BootProtocol, Kernel, Protocol};
use crate::layout::{ACPI, HIMEM_START, Window};
use crate::linux::ZeroPage;
use crate::piece::Piece;
use crate::{acpi, command_line, e820, initrd, linux, pvh};

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
pub struct PlanOptions {
    /// Which protocol to use.
    pub protocol: Protocol,
    /// Number of vCPUs; their APIC ids count from 0.
    pub cpus: u32,
    /// Whether to supply ACPI tables.
    pub acpi: bool,
    /// The 64-bit PCI window, if the machine has one.
    pub pci_window_64: Option<Window>,
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
    options: &PlanOptions,
) -> Result<BootPlan, BootError> {
    if e820::region_of(memory, 0).is_none_or(|(_, end)| end < HIMEM_START) {
        return Err(BootError::DoesNotFit { what: "the first MiB", start: 0, end: HIMEM_START });
    }
    let kernel = Kernel::read(sources.kernel)?;
    let mut pieces = acpi_pieces(options)?;
    let rsdp = options.acpi.then_some(ACPI.start);
    let map = e820::map(memory);
    let loaded = kernel.load(memory, options.protocol)?;
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

fn acpi_pieces(options: &PlanOptions) -> Result<Vec<Piece>, BootError> {
    if !options.acpi {
        return Ok(Vec::new());
    }
    let tables = acpi::tables(&AcpiOptions { cpus: options.cpus, pci_window_64: options.pci_window_64 })?;
    Ok(tables
        .into_iter()
        .map(|table| Piece::Bytes { what: table.name, address: table.address, data: table.data })
        .collect())
}

impl BootPlan {
    /// Writes the plan into guest memory. May be repeated, for a guest that reboots; `sources` are those the plan
    /// was made from.
    pub fn apply(&self, sources: &Sources<'_>, memory: &GuestMemory) -> Result<(), BootError> {
        for piece in &self.pieces {
            match *piece {
                Piece::Zero { address, len } => clear(memory, address, len)?,
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
