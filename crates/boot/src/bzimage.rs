// SPDX-License-Identifier: Apache-2.0
//! Reads the setup header of a bzImage (Linux, Documentation/arch/x86/boot.rst).
//!
//! The payload decompresses itself, so that each compression works and none is needed here.

use linux_loader::loader::bootparam::setup_header;
use vm_memory::ByteValued;

use crate::error::BootError;
use crate::image::{FileKind, Image, read_exact_at};
use crate::layout::HIMEM_START;

/// Where the setup header lies in the file and in the zero page.
pub(crate) const SETUP_HEADER: usize = 0x1f1;
/// Where `HdrS` lies in the file.
const MAGIC_OFFSET: usize = 0x202;
const MAGIC: u32 = 0x5372_6448;
const BOOT_FLAG: u16 = 0xaa55;
/// The first version whose header tells about the 64-bit entry (Linux 3.8).
const MIN_VERSION: u16 = 0x20c;
const LOADED_HIGH: u8 = 1;
const KERNEL_64: u16 = 1;
const SECTOR: u64 = 512;
/// The 64-bit entry, from the start of the payload.
const ENTRY_64: u64 = 0x200;

/// What the boot needs of a bzImage.
#[derive(Debug, PartialEq)]
pub(crate) struct BzImage {
    /// The kernel's own setup header.
    pub(crate) header: setup_header,
    /// Offset in bytes of the payload in the file.
    pub(crate) payload: u64,
    /// Length in bytes of the payload.
    pub(crate) payload_len: u64,
}

/// Whether the first bytes of a file are those of a bzImage.
pub(crate) fn recognize(start: &[u8]) -> bool {
    crate::bytes::u32_at(start, MAGIC_OFFSET) == Some(MAGIC)
}

impl BzImage {
    /// Reads the header of a file of `size` bytes.
    pub(crate) fn parse(image: &dyn Image, size: u64) -> Result<Self, BootError> {
        let header = read_header(image)?;
        check(&header)?;
        let sectors = if header.setup_sects == 0 { 4 } else { u64::from(header.setup_sects) };
        let payload = (sectors + 1) * SECTOR;
        let payload_len = size.saturating_sub(payload);
        let promised = u64::from(header.syssize) * 16;
        if payload_len <= ENTRY_64 || payload_len < promised {
            return Err(BootError::Malformed { detail: "the file ends before its payload does" });
        }
        Ok(Self { header, payload, payload_len })
    }

    /// Bytes of memory the kernel needs from its load address on, before it looks at the memory map.
    pub(crate) fn memory_len(&self) -> u64 {
        self.payload_len.max(u64::from(self.header.init_size))
    }

    /// Where the kernel may be loaded, best address first.
    pub(crate) fn load_addresses(&self) -> impl Iterator<Item = u64> + use<> {
        let preferred = { self.header.pref_address };
        let relocated = (self.header.relocatable_kernel != 0).then_some(HIMEM_START);
        [Some(preferred).filter(|&address| address >= HIMEM_START), relocated].into_iter().flatten()
    }

    /// The 64-bit entry of a kernel loaded at `address`.
    pub(crate) fn entry(address: u64) -> u64 {
        address + ENTRY_64
    }
}

fn read_header(image: &dyn Image) -> Result<setup_header, BootError> {
    let mut header = setup_header::default();
    read_exact_at(image, SETUP_HEADER as u64, header.as_mut_slice()).map_err(|source| {
        match source.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                BootError::Malformed { detail: "the file ends within its setup header" }
            }
            _ => BootError::Read { file: FileKind::Kernel, source },
        }
    })?;
    Ok(header)
}

fn check(header: &setup_header) -> Result<(), BootError> {
    let unsupported = |reason| Err(BootError::Unsupported { reason });
    if { header.boot_flag } != BOOT_FLAG || { header.header } != MAGIC {
        return Err(BootError::Malformed { detail: "its setup header has no valid signature" });
    }
    if { header.version } < MIN_VERSION {
        return unsupported("its boot protocol is older than 2.12: give a kernel from Linux 3.8 or newer");
    }
    if header.loadflags & LOADED_HIGH == 0 {
        return unsupported("it is a zImage that loads below 1 MiB: give a bzImage");
    }
    if { header.xloadflags } & KERNEL_64 == 0 {
        return unsupported("it has no 64-bit entry: give an x86-64 bzImage");
    }
    Ok(())
}
