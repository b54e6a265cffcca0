// SPDX-License-Identifier: Apache-2.0
//! The PVH boot protocol (Xen, public/arch-x86/hvm/start_info.h): 32-bit protected mode without paging, EBX holds the
//! address of the start information.

use linux_loader::loader::elf::start_info::{hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info};
use vm_memory::ByteValued;

use crate::e820::Entry;
use crate::entry::EntryState;
use crate::layout::{COMMAND_LINE, PVH_MEMORY_MAP, PVH_MODULES, PVH_START_INFO, Window};
use crate::linux;
use crate::piece::Piece;

const MAGIC: u32 = 0x336e_c578;
const VERSION: u32 = 1;

/// Start information, module list and memory map.
pub(crate) fn start_info(initrd: Window, map: &[Entry], rsdp: Option<u64>) -> Vec<Piece> {
    let modules = u32::from(initrd.len > 0);
    let info = hvm_start_info {
        magic: MAGIC,
        version: VERSION,
        nr_modules: modules,
        modlist_paddr: u64::from(modules) * PVH_MODULES,
        cmdline_paddr: COMMAND_LINE.start,
        rsdp_paddr: rsdp.unwrap_or(0),
        memmap_paddr: PVH_MEMORY_MAP,
        memmap_entries: u32::try_from(map.len()).unwrap_or(u32::MAX),
        ..Default::default()
    };
    let module = hvm_modlist_entry { paddr: initrd.start, size: initrd.len, ..Default::default() };
    let mut table = Vec::new();
    for entry in map {
        let entry = hvm_memmap_table_entry {
            addr: entry.range.start,
            size: entry.range.len,
            type_: entry.kind.code(),
            reserved: 0,
        };
        table.extend_from_slice(entry.as_slice());
    }
    let piece = |what, address, data| Piece::Bytes { what, address, data };
    vec![
        piece("PVH start information", PVH_START_INFO, info.as_slice().to_vec()),
        piece("PVH module list", PVH_MODULES, module.as_slice().to_vec()),
        piece("PVH memory map", PVH_MEMORY_MAP, table),
    ]
}

/// Registers at the PVH entry.
pub(crate) fn entry(rip: u32) -> EntryState {
    EntryState { rbx: PVH_START_INFO, ..linux::flat_entry(u64::from(rip), false) }
}
