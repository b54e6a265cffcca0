// SPDX-License-Identifier: Apache-2.0
//! Reads a vmlinux: ELF64 for x86-64 (System V ABI, "Object Files"), and its PVH note.

use crate::bytes::{u16_at, u32_at, u64_at};
use crate::error::BootError;
use crate::image::{FileKind, Image, read_exact_at};

const HEADER_LEN: usize = 64;
const PROGRAM_HEADER_LEN: usize = 56;
/// More than any kernel has; bounds what a damaged file makes us read.
const MAX_PROGRAM_HEADERS: u16 = 256;
/// More than all notes of any kernel take; bounds what a damaged file makes us read.
const MAX_NOTES_LEN: u64 = 1 << 20;

const CLASS_64: u8 = 2;
const LITTLE_ENDIAN: u8 = 1;
const TYPE_EXECUTABLE: u16 = 2;
const TYPE_SHARED: u16 = 3;
const MACHINE_X86_64: u16 = 62;
const LOAD: u32 = 1;
const NOTE: u32 = 4;
/// `XEN_ELFNOTE_PHYS32_ENTRY`: where PVH enters in 32-bit mode.
const NOTE_PHYS32_ENTRY: u32 = 18;

/// What the boot needs of a vmlinux.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// Physical address of the 64-bit entry.
    pub(crate) entry: u64,
    /// Physical address of the 32-bit PVH entry, if the kernel has one.
    pub(crate) pvh_entry: Option<u32>,
    /// What is loaded, in file order; never empty.
    pub(crate) segments: Vec<Segment>,
}

/// A part of the file and its place in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) offset: u64,
    pub(crate) file_len: u64,
    pub(crate) address: u64,
    /// At least `file_len`; the rest is cleared (BSS).
    pub(crate) memory_len: u64,
}

impl Segment {
    pub(crate) fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_len)
    }

    fn contains(&self, address: u64) -> bool {
        (self.address..self.end()).contains(&address)
    }
}

impl Elf {
    /// The first address after everything that is loaded.
    pub(crate) fn end(&self) -> u64 {
        self.segments.iter().map(Segment::end).max().unwrap_or(0)
    }

    /// Reads the headers of a file of `size` bytes that begins with the ELF magic number.
    pub(crate) fn parse(image: &dyn Image, size: u64) -> Result<Self, BootError> {
        let mut header = [0; HEADER_LEN];
        read(image, 0, &mut header, "its ELF header is cut short")?;
        check_header(&header)?;
        let count = u16_at(&header, 56).unwrap_or(0);
        let start = u64_at(&header, 32).unwrap_or(0);
        if u16_at(&header, 54).map(usize::from) != Some(PROGRAM_HEADER_LEN) || count > MAX_PROGRAM_HEADERS {
            return Err(malformed("its ELF header does not describe program headers"));
        }
        let mut table = vec![0; usize::from(count) * PROGRAM_HEADER_LEN];
        read(image, start, &mut table, "its program headers lie beyond the end of the file")?;

        let (mut segments, mut pvh_entry, mut notes) = (Vec::new(), None, MAX_NOTES_LEN);
        for program in table.chunks_exact(PROGRAM_HEADER_LEN) {
            match u32_at(program, 0) {
                Some(LOAD) => segments.extend(segment(program, size)?),
                Some(NOTE) if pvh_entry.is_none() => {
                    pvh_entry = find_pvh_entry(image, program, size, &mut notes)?;
                }
                _ => {}
            }
        }
        let elf = Self { entry: u64_at(&header, 24).unwrap_or(0), pvh_entry, segments };
        elf.check_entries()?;
        Ok(elf)
    }

    fn check_entries(&self) -> Result<(), BootError> {
        let inside = |address| self.segments.iter().any(|segment| segment.contains(address));
        if !inside(self.entry) {
            return Err(malformed("its entry point lies outside of what it loads"));
        }
        if self.pvh_entry.is_some_and(|entry| !inside(u64::from(entry))) {
            return Err(malformed("its PVH entry point lies outside of what it loads"));
        }
        Ok(())
    }
}

fn check_header(header: &[u8; HEADER_LEN]) -> Result<(), BootError> {
    let unsupported = |reason| Err(BootError::Unsupported { reason });
    let [_, _, _, _, class, endian, ..] = *header;
    if class != CLASS_64 || endian != LITTLE_ENDIAN {
        return unsupported("it is not a 64-bit little-endian ELF file: give an x86-64 vmlinux");
    }
    if u16_at(header, 18) != Some(MACHINE_X86_64) {
        return unsupported("it is for another processor than x86-64: give an x86-64 kernel");
    }
    match u16_at(header, 16) {
        Some(TYPE_EXECUTABLE | TYPE_SHARED) => Ok(()),
        _ => unsupported("it is an object file or kernel module, not a kernel: give a vmlinux"),
    }
}

fn segment(program: &[u8], size: u64) -> Result<Option<Segment>, BootError> {
    let field = |offset| u64_at(program, offset).unwrap_or(0);
    let segment =
        Segment { offset: field(8), file_len: field(32), address: field(24), memory_len: field(40) };
    if segment.file_len > segment.memory_len {
        return Err(malformed("a segment is larger in the file than in memory"));
    }
    if segment.offset.checked_add(segment.file_len).is_none_or(|end| end > size) {
        return Err(malformed("a segment lies beyond the end of the file"));
    }
    if segment.address.checked_add(segment.memory_len).is_none() {
        return Err(malformed("a segment runs past the end of the address space"));
    }
    Ok((segment.memory_len > 0).then_some(segment))
}

/// Looks for the PVH entry in a segment of notes: a list of (name length, description length, type, name,
/// description), the last two padded to 4 bytes. Takes its length from `left`, what notes may still take.
fn find_pvh_entry(
    image: &dyn Image,
    program: &[u8],
    size: u64,
    left: &mut u64,
) -> Result<Option<u32>, BootError> {
    let (offset, len) = (u64_at(program, 8).unwrap_or(0), u64_at(program, 32).unwrap_or(0));
    if offset.checked_add(len).is_none_or(|end| end > size) {
        return Err(malformed("its notes lie beyond the end of the file"));
    }
    *left = left.checked_sub(len).ok_or_else(|| malformed("its notes are larger than any kernel's"))?;
    let mut notes = vec![0; usize::try_from(len).unwrap_or(0)];
    read(image, offset, &mut notes, "its notes lie beyond the end of the file")?;

    let mut rest = notes.as_slice();
    while let (Some(name_len), Some(value_len), Some(kind)) =
        (u32_at(rest, 0), u32_at(rest, 4), u32_at(rest, 8))
    {
        let (Some(name), Some(value_start)) = (take(rest, 12, name_len), after(12, name_len)) else { break };
        let (Some(value), Some(end)) = (take(rest, value_start, value_len), after(value_start, value_len))
        else {
            break;
        };
        if kind == NOTE_PHYS32_ENTRY && name == b"Xen\0" {
            let high = u32_at(value, 4).unwrap_or(0);
            let entry = u32_at(value, 0).filter(|_| high == 0);
            return entry.map(Some).ok_or_else(|| malformed("its PVH note holds no 32-bit address"));
        }
        rest = rest.get(end..).unwrap_or_default();
    }
    Ok(None)
}

fn take(bytes: &[u8], start: usize, len: u32) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

/// The offset after a field of `len` bytes and its padding.
fn after(start: usize, len: u32) -> Option<usize> {
    start.checked_add(usize::try_from(len).ok()?.checked_next_multiple_of(4)?)
}

fn read(image: &dyn Image, offset: u64, buffer: &mut [u8], cut: &'static str) -> Result<(), BootError> {
    read_exact_at(image, offset, buffer).map_err(|source| match source.kind() {
        std::io::ErrorKind::UnexpectedEof => malformed(cut),
        _ => BootError::Read { file: FileKind::Kernel, source },
    })
}

fn malformed(detail: &'static str) -> BootError {
    BootError::Malformed { detail }
}
