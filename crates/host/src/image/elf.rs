// SPDX-License-Identifier: Apache-2.0
//! The headers of an x86-64 ELF executable (System V ABI, "Object Files").

use super::{Fault, Image, u16_at, u32_at, u64_at};

const CLASS: usize = 4;
const DATA: usize = 5;
const TYPE: usize = 16;
const MACHINE: usize = 18;
const PROGRAM_HEADERS: usize = 32;
const PROGRAM_HEADER_SIZE: usize = 54;
const PROGRAM_HEADER_COUNT: usize = 56;
const HEADER: u64 = 64;
const ENTRY: u16 = 56;
const ENTRY_OFFSET: usize = 8;
const ENTRY_FILE_SIZE: usize = 32;
const PT_LOAD: u32 = 1;
/// The most program headers that are looked at; kernels have about five.
const MAX_ENTRIES: u16 = 1024;

pub fn is_elf(start: &[u8]) -> bool {
    start.starts_with(b"\x7fELF")
}

pub fn check(image: &Image<'_>, start: &[u8]) -> Result<String, Fault> {
    if image.size < HEADER {
        return Err(Fault::Truncated("it ends inside the ELF header".to_owned()));
    }
    check_machine(start)?;
    let table = program_headers(image, start)?;
    let mut loads = 0;
    for entry in table.chunks_exact(usize::from(ENTRY)) {
        if u32_at(entry, 0) != Some(PT_LOAD) {
            continue;
        }
        loads += 1;
        let end = segment_end(entry).ok_or_else(|| unrecognised("a segment lies beyond any file"))?;
        if end > image.size {
            return Err(Fault::Truncated(format!(
                "a segment ends at byte {end}, the file at {}",
                image.size
            )));
        }
    }
    if loads == 0 {
        return Err(unrecognised("it has nothing to load: is it an object file?"));
    }
    Ok(format!("x86-64 ELF, {loads} segments"))
}

fn check_machine(start: &[u8]) -> Result<(), Fault> {
    if start.get(CLASS) != Some(&2) || start.get(DATA) != Some(&1) || u16_at(start, MACHINE) != Some(62) {
        return Err(unrecognised("it is an ELF file for another machine than x86-64"));
    }
    match u16_at(start, TYPE) {
        Some(2 | 3) => Ok(()),
        _ => Err(unrecognised("it is an ELF file, but no executable")),
    }
}

fn program_headers(image: &Image<'_>, start: &[u8]) -> Result<Vec<u8>, Fault> {
    let at = u64_at(start, PROGRAM_HEADERS).unwrap_or_default();
    let count = u16_at(start, PROGRAM_HEADER_COUNT).unwrap_or_default();
    if u16_at(start, PROGRAM_HEADER_SIZE) != Some(ENTRY) || count == 0 || count > MAX_ENTRIES {
        return Err(unrecognised("it is an ELF file without usable program headers"));
    }
    let length = u64::from(count) * u64::from(ENTRY);
    match at.checked_add(length) {
        Some(end) if end <= image.size => {}
        Some(_) | None => return Err(Fault::Truncated("its program headers lie beyond its end".to_owned())),
    }
    image.read(at, usize::from(count) * usize::from(ENTRY)).map_err(Fault::Failed)
}

fn segment_end(entry: &[u8]) -> Option<u64> {
    u64_at(entry, ENTRY_OFFSET)?.checked_add(u64_at(entry, ENTRY_FILE_SIZE)?)
}

fn unrecognised(reason: &str) -> Fault {
    Fault::Unrecognised(reason.to_owned())
}
