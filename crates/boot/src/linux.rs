// SPDX-License-Identifier: Apache-2.0
//! The 64-bit Linux boot protocol (Linux, Documentation/arch/x86/boot.rst, "64-bit boot protocol"): zero page, page
//! tables, descriptor table and registers.

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, setup_header};
use vm_memory::ByteValued;

use crate::e820::Entry;
use crate::entry::{
    CR0_ET, CR0_PE, CR0_PG, CR4_PAE, EFER_LMA, EFER_LME, EntryState, RFLAGS_RESERVED, SegmentState,
    TableState,
};
use crate::error::BootError;
use crate::layout::{BOOT_STACK, COMMAND_LINE, GDT, IDT, PAGE_TABLES, Window, ZERO_PAGE};
use crate::piece::Piece;

const BOOT_FLAG: u16 = 0xaa55;
const HEADER_MAGIC: u32 = 0x5372_6448;
/// A loader without a number of its own.
const LOADER_UNDEFINED: u8 = 0xff;
/// Alignment of an ELF kernel, which states none: 16 MiB.
const ELF_ALIGNMENT: u32 = 0x100_0000;

const CODE_SELECTOR: u16 = 0x10;
const DATA_SELECTOR: u16 = 0x18;
const TASK_SELECTOR: u16 = 0x20;
const CODE_64: u16 = 0xa09b;
const CODE_32: u16 = 0xc09b;
const DATA: u16 = 0xc093;
const TASK: u16 = 0x008b;
const TASK_LIMIT: u32 = 0x67;

const PAGE: usize = 4096;
const PRESENT_WRITABLE: u64 = 3;
const LARGE: u64 = 1 << 7;
/// Memory that the page tables map onto itself, in GiB.
const MAPPED_GIB: u64 = 4;

/// What goes into the zero page besides the kernel's header.
pub(crate) struct ZeroPage<'a> {
    /// A bzImage's own setup header; without one a minimal header is made.
    pub(crate) header: Option<setup_header>,
    /// Length in bytes of the command line.
    pub(crate) command_line_len: u64,
    /// Where the initrd lies; empty without one.
    pub(crate) initrd: Window,
    /// The memory map.
    pub(crate) map: &'a [Entry],
    /// The ACPI root pointer, if there are ACPI tables.
    pub(crate) rsdp: Option<u64>,
}

/// The zero page.
pub(crate) fn zero_page(parts: &ZeroPage<'_>) -> Result<Piece, BootError> {
    let mut params = boot_params { hdr: parts.header.unwrap_or_else(elf_header), ..Default::default() };
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    let low = |address: u64, what| {
        u32::try_from(address).map_err(|_| BootError::DoesNotFit { what, start: address, end: 1 << 32 })
    };
    params.hdr.cmd_line_ptr = low(COMMAND_LINE.start, "the command line")?;
    params.hdr.cmdline_size = low(parts.command_line_len, "the command line")?;
    params.hdr.ramdisk_image = low(parts.initrd.start, "the initrd")?;
    params.hdr.ramdisk_size = low(parts.initrd.len, "the initrd")?;
    params.acpi_rsdp_addr = parts.rsdp.unwrap_or(0);
    let mut table = { params.e820_table };
    let mut count = 0_u8;
    for (slot, entry) in table.iter_mut().zip(parts.map) {
        *slot = boot_e820_entry { addr: entry.range.start, size: entry.range.len, r#type: entry.kind.code() };
        count += 1;
    }
    params.e820_table = table;
    params.e820_entries = count;
    Ok(Piece::Bytes { what: "zero page", address: ZERO_PAGE, data: params.as_slice().to_vec() })
}

fn elf_header() -> setup_header {
    setup_header {
        boot_flag: BOOT_FLAG,
        header: HEADER_MAGIC,
        kernel_alignment: ELF_ALIGNMENT,
        ..Default::default()
    }
}

/// Page tables that map the first 4 GiB onto themselves in pages of 2 MiB.
pub(crate) fn page_tables() -> Piece {
    let page_directory = PAGE_TABLES + 2 * PAGE as u64;
    let mut data = Vec::with_capacity(6 * PAGE);
    let mut table = |entries: &mut dyn Iterator<Item = u64>| {
        let end = (data.len() / PAGE + 1) * PAGE;
        data.extend(entries.flat_map(u64::to_le_bytes));
        data.resize(data.len().next_multiple_of(PAGE).max(end), 0);
    };
    table(&mut std::iter::once((PAGE_TABLES + PAGE as u64) | PRESENT_WRITABLE));
    table(&mut (0..MAPPED_GIB).map(|gib| (page_directory + gib * PAGE as u64) | PRESENT_WRITABLE));
    table(&mut (0..MAPPED_GIB * 512).map(|page| page << 21 | LARGE | PRESENT_WRITABLE));
    Piece::Bytes { what: "page tables", address: PAGE_TABLES, data }
}

/// The descriptor table: two empty entries, code, data, and a task state segment of two entries.
pub(crate) fn descriptor_tables(long_mode: bool) -> [Piece; 2] {
    let segments = Segments::new(long_mode);
    let entries = [0, 0, descriptor(segments.code), descriptor(segments.data), descriptor(segments.task), 0]
        .into_iter();
    let data = entries.flat_map(u64::to_le_bytes).collect();
    [
        Piece::Bytes { what: "interrupt descriptor table", address: IDT, data: vec![0; 8] },
        Piece::Bytes { what: "descriptor table", address: GDT, data },
    ]
}

fn descriptor(segment: SegmentState) -> u64 {
    let granular = segment.access & 0x8000 != 0;
    let limit = u64::from(if granular { segment.limit >> 12 } else { segment.limit });
    let base = segment.base;
    (limit & 0xffff)
        | (base & 0xff_ffff) << 16
        | u64::from(segment.access & 0xf0ff) << 40
        | (limit >> 16 & 0xf) << 48
        | (base >> 24 & 0xff) << 56
}

struct Segments {
    code: SegmentState,
    data: SegmentState,
    task: SegmentState,
}

impl Segments {
    fn new(long_mode: bool) -> Self {
        let flat = |selector, access| SegmentState { selector, base: 0, limit: u32::MAX, access };
        Self {
            code: flat(CODE_SELECTOR, if long_mode { CODE_64 } else { CODE_32 }),
            data: flat(DATA_SELECTOR, DATA),
            task: SegmentState { selector: TASK_SELECTOR, base: 0, limit: TASK_LIMIT, access: TASK },
        }
    }
}

/// Registers shared by both protocols: flat segments, the boot stack, interrupts off.
pub(crate) fn flat_entry(rip: u64, long_mode: bool) -> EntryState {
    let Segments { code, data, task } = Segments::new(long_mode);
    EntryState {
        rip,
        rsp: BOOT_STACK,
        rflags: RFLAGS_RESERVED,
        cr0: CR0_PE | CR0_ET,
        code,
        data,
        task,
        gdt: TableState { base: GDT, limit: 6 * 8 - 1 },
        idt: TableState { base: IDT, limit: 7 },
        ..EntryState::default()
    }
}

/// Registers at the 64-bit entry.
pub(crate) fn entry(rip: u64) -> EntryState {
    let flat = flat_entry(rip, true);
    EntryState {
        rsi: ZERO_PAGE,
        cr0: flat.cr0 | CR0_PG,
        cr3: PAGE_TABLES,
        cr4: CR4_PAE,
        efer: EFER_LME | EFER_LMA,
        ..flat
    }
}
