// SPDX-License-Identifier: Apache-2.0
//! The ELF file around a guest: one loadable segment and the PVH entry note.

/// Where the code is loaded and entered: 1 MiB, the lowest address without legacy holes.
pub const LOAD_ADDRESS: u32 = 0x10_0000;

const HEADER_LEN: u64 = 64;
const PROGRAM_HEADER_LEN: u64 = 56;
const EM_X86_64: u16 = 62;
const ET_EXEC: u16 = 2;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// Physical 32-bit entry (Xen `elfnote.h`).
const XEN_ELFNOTE_PHYS32_ENTRY: u32 = 18;

/// Wraps code for [`LOAD_ADDRESS`] into an ELF file whose both entry points are its first byte.
pub fn wrap(code: &[u8]) -> Vec<u8> {
    let note = pvh_note();
    let note_offset = HEADER_LEN + 2 * PROGRAM_HEADER_LEN;
    let code_offset = 0x1000;
    let mut file = header();
    file.extend(program_header(PT_NOTE, 4, note_offset, 0, note.len() as u64));
    file.extend(program_header(PT_LOAD, 5, code_offset, u64::from(LOAD_ADDRESS), code.len() as u64));
    file.extend(note);
    file.resize(0x1000, 0);
    file.extend_from_slice(code);
    file
}

fn header() -> Vec<u8> {
    let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    out.extend(ET_EXEC.to_le_bytes());
    out.extend(EM_X86_64.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    out.extend(u64::from(LOAD_ADDRESS).to_le_bytes());
    out.extend(HEADER_LEN.to_le_bytes());
    out.extend(0u64.to_le_bytes());
    out.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        out.extend(half.to_le_bytes());
    }
    out
}

fn program_header(kind: u32, flags: u32, offset: u64, address: u64, len: u64) -> Vec<u8> {
    let alignment = if kind == PT_NOTE { 4 } else { 0x1000 };
    let mut out = Vec::new();
    out.extend(kind.to_le_bytes());
    out.extend(flags.to_le_bytes());
    for word in [offset, address, address, len, len, alignment] {
        out.extend(u64::to_le_bytes(word));
    }
    out
}

fn pvh_note() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(4u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(XEN_ELFNOTE_PHYS32_ENTRY.to_le_bytes());
    out.extend(*b"Xen\0");
    out.extend(u64::from(LOAD_ADDRESS).to_le_bytes());
    out
}
