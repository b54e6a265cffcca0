// SPDX-License-Identifier: Apache-2.0
//! Tells kernel formats apart and places a kernel in memory.

use flotilla_memory::GuestMemory;
use linux_loader::loader::bootparam::setup_header;

use crate::bzimage::{self, BzImage};
use crate::elf::Elf;
use crate::entry::EntryState;
use crate::error::BootError;
use crate::image::{FileKind, Image};
use crate::layout::HIMEM_START;
use crate::piece::Piece;
use crate::{command_line, e820, initrd, linux, pvh};

/// Enough of the file to recognize it.
const START_LEN: usize = 0x210;

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

/// A kernel whose headers are sound.
#[derive(Debug)]
pub(crate) enum Kernel {
    Elf(Elf),
    BzImage(Box<BzImage>),
}

/// A kernel with its place in memory.
pub(crate) struct Loaded {
    pub(crate) protocol: BootProtocol,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) entry: EntryState,
    /// A bzImage's own setup header.
    pub(crate) header: Option<setup_header>,
    /// The first address after the kernel.
    pub(crate) end: u64,
    /// The longest command line in bytes.
    pub(crate) command_line_max: u64,
    /// The highest address of the initrd's last byte.
    pub(crate) initrd_last: u64,
}

impl Kernel {
    pub(crate) fn read(image: &dyn Image) -> Result<Self, BootError> {
        let unreadable = |source| BootError::Read { file: FileKind::Kernel, source };
        let size = image.size().map_err(unreadable)?;
        let mut start = [0; START_LEN];
        let len = read_start(image, &mut start).map_err(unreadable)?;
        let start = start.get(..len).unwrap_or_default();
        if start.starts_with(b"\x7fELF") {
            return Elf::parse(image, size).map(Self::Elf);
        }
        if bzimage::recognize(start) {
            return BzImage::parse(image, size).map(|image| Self::BzImage(Box::new(image)));
        }
        Err(BootError::UnknownFormat { found: describe(start) })
    }

    /// Places the kernel in `memory` for `wanted`.
    pub(crate) fn load(&self, memory: &GuestMemory, wanted: Protocol) -> Result<Loaded, BootError> {
        match self {
            Self::Elf(elf) => load_elf(elf, memory, wanted),
            Self::BzImage(image) => load_bzimage(image, memory, wanted),
        }
    }
}

fn read_start(image: &dyn Image, start: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = start.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match image.read_at(len as u64, rest)? {
            0 => break,
            count => len += count,
        }
    }
    Ok(len)
}

/// What a file that is no kernel looks like.
fn describe(start: &[u8]) -> &'static str {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x1f\x8b", "a gzip file"),
        (b"\xfd7zXZ\0", "an xz file"),
        (b"\x28\xb5\x2f\xfd", "a zstd file"),
        (b"BZh", "a bzip2 file"),
        (b"\x04\x22\x4d\x18", "an lz4 file"),
        (b"070701", "an initrd (cpio archive)"),
        (b"MZ", "a Windows or UEFI program"),
        (b"QFI\xfb", "a qcow2 disk image"),
    ];
    if start.is_empty() {
        return "empty";
    }
    let known = KNOWN.iter().find(|(magic, _)| start.starts_with(magic));
    let text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    match known {
        Some((_, name)) => name,
        None if start.iter().all(text) => "a text file",
        None => "of an unknown format",
    }
}

/// The range must lie in one piece of RAM above the boot structures.
fn check_fits(memory: &GuestMemory, start: u64, end: u64) -> Result<(), BootError> {
    let room = e820::region_of(memory, start).is_some_and(|(_, limit)| end <= limit);
    if room && start >= HIMEM_START {
        return Ok(());
    }
    Err(BootError::DoesNotFit { what: "the kernel", start, end })
}

fn load_elf(elf: &Elf, memory: &GuestMemory, wanted: Protocol) -> Result<Loaded, BootError> {
    let mut pieces = Vec::new();
    for segment in &elf.segments {
        check_fits(memory, segment.address, segment.end())?;
        let &crate::elf::Segment { offset, file_len, address, memory_len } = segment;
        pieces.push(Piece::File { file: FileKind::Kernel, offset, address, len: file_len });
        pieces.push(Piece::Zero { address: address + file_len, len: memory_len - file_len });
    }
    let no_note = "it has no PVH entry: set CONFIG_PVH=y in it, or choose another boot protocol";
    let (protocol, entry) = match (wanted, elf.pvh_entry) {
        (Protocol::Auto | Protocol::Pvh, Some(rip)) => (BootProtocol::Pvh, pvh::entry(rip)),
        (Protocol::Pvh, None) => return Err(BootError::Unsupported { reason: no_note }),
        (Protocol::Auto, None) | (Protocol::Linux, _) => (BootProtocol::LinuxElf, linux::entry(elf.entry)),
    };
    Ok(Loaded {
        protocol,
        pieces,
        entry,
        header: None,
        end: elf.end(),
        command_line_max: command_line::DEFAULT_MAX,
        initrd_last: initrd::DEFAULT_LIMIT,
    })
}

fn load_bzimage(image: &BzImage, memory: &GuestMemory, wanted: Protocol) -> Result<Loaded, BootError> {
    if wanted == Protocol::Pvh {
        let reason = "a bzImage cannot be entered by PVH: give the vmlinux, or choose another boot protocol";
        return Err(BootError::Unsupported { reason });
    }
    let (address, end) = place(image, memory)?;
    let copy = Piece::File { file: FileKind::Kernel, offset: image.payload, address, len: image.payload_len };
    Ok(Loaded {
        protocol: BootProtocol::LinuxBzImage,
        pieces: vec![copy],
        entry: linux::entry(BzImage::entry(address)),
        header: Some(image.header),
        end,
        command_line_max: u64::from(image.header.cmdline_size),
        initrd_last: u64::from(image.header.initrd_addr_max),
    })
}

/// Tries the addresses the kernel can be loaded at; the error is that of the one it likes best.
fn place(image: &BzImage, memory: &GuestMemory) -> Result<(u64, u64), BootError> {
    let mut first_error = None;
    for address in image.load_addresses() {
        let end = address.saturating_add(image.memory_len());
        match check_fits(memory, address, end) {
            Ok(()) => return Ok((address, end)),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    let detail = "its setup header names no address to load it at";
    Err(first_error.unwrap_or(BootError::Malformed { detail }))
}
