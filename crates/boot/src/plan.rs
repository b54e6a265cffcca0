// SPDX-License-Identifier: Apache-2.0
//! The boot plan: what goes where, as data.

use std::io;

use flotilla_memory::{Bytes, GuestAddress, GuestMemory};

use crate::acpi::AcpiOptions;
use crate::entry::EntryState;
use crate::error::BootError;
use crate::image::{FileKind, Image};
use crate::kernel::Kernel;
use crate::layout::{ACPI, HIMEM_START, Window};
use crate::linux::ZeroPage;
use crate::{acpi, command_line, e820, initrd, linux, pvh};

/// Bytes cleared at once.
const ZEROS: usize = 64 << 10;

/// The files a guest is booted from.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// A vmlinux (ELF) or bzImage.
    pub kernel: &'a dyn Image,
    /// The initial RAM disk.
    pub initrd: Option<&'a dyn Image>,
}

/// Which boot protocol to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// PVH where the kernel has the note for it, the 64-bit Linux protocol otherwise.
    #[default]
    Auto,
    /// PVH only.
    Pvh,
    /// The 64-bit Linux protocol only.
    Linux,
}

/// The protocol a plan uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootProtocol {
    /// ELF entered in 32-bit protected mode at its PVH note's address.
    Pvh,
    /// ELF entered in 64-bit mode with a zero page.
    LinuxElf,
    /// bzImage entered in 64-bit mode with its own setup header in the zero page.
    LinuxBzImage,
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

/// One step that prepares guest memory. Steps are carried out in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Clears memory.
    Zero {
        /// First guest address.
        address: u64,
        /// Length in bytes.
        len: u64,
    },
    /// Writes bytes.
    Bytes {
        /// What they are.
        what: &'static str,
        /// First guest address.
        address: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Copies a part of a file.
    File {
        /// Which file.
        file: FileKind,
        /// First byte in the file.
        offset: u64,
        /// First guest address.
        address: u64,
        /// Length in bytes.
        len: u64,
    },
}

impl Piece {
    /// The guest memory this step writes.
    pub fn range(&self) -> Window {
        match *self {
            Self::Zero { address, len } | Self::File { address, len, .. } => Window { start: address, len },
            Self::Bytes { address, ref data, .. } => Window { start: address, len: data.len() as u64 },
        }
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
    Ok(BootPlan { protocol: loaded.protocol, pieces, entry: loaded.entry })
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
    let zeros = vec![0; ZEROS.min(usize::try_from(len).unwrap_or(ZEROS))];
    let mut done = 0;
    while done < len {
        let count = usize::try_from(len - done).unwrap_or(ZEROS).min(ZEROS);
        write(memory, address.saturating_add(done), zeros.get(..count).unwrap_or_default())?;
        done += count as u64;
    }
    Ok(())
}

fn write(memory: &GuestMemory, address: u64, data: &[u8]) -> Result<(), BootError> {
    memory.write_slice(data, GuestAddress(address)).map_err(|source| BootError::Write {
        address,
        len: data.len() as u64,
        source,
    })
}
