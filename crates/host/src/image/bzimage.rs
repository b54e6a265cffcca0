// SPDX-License-Identifier: Apache-2.0
//! The setup header of a bzImage (Linux, Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").

use super::{Fault, u16_at, u32_at};

/// Bytes from the start of the file that hold everything read here.
pub const HEADER_END: usize = 0x290;
const SETUP_SECTS: usize = 0x1f1;
const SYSSIZE: usize = 0x1f4;
const BOOT_FLAG: usize = 0x1fe;
const HEADER_MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const LOADFLAGS: usize = 0x211;
const XLOADFLAGS: usize = 0x236;
const LOADED_HIGH: u8 = 1;
const XLF_KERNEL_64: u16 = 1;

pub fn is_bzimage(start: &[u8]) -> bool {
    u16_at(start, BOOT_FLAG) == Some(0xaa55) && start.get(HEADER_MAGIC..HEADER_MAGIC + 4) == Some(b"HdrS")
}

pub fn check(start: &[u8], size: u64) -> Result<String, Fault> {
    let short = || Fault::Truncated("it ends inside the setup header".to_owned());
    let version = u16_at(start, VERSION).ok_or_else(short)?;
    let flags = *start.get(LOADFLAGS).ok_or_else(short)?;
    if version < 0x020c || flags & LOADED_HIGH == 0 {
        return Err(Fault::Unrecognised(
            "its boot protocol is older than 2.12: use a kernel of Linux 3.8 or newer".to_owned(),
        ));
    }
    if u16_at(start, XLOADFLAGS).ok_or_else(short)? & XLF_KERNEL_64 == 0 {
        return Err(Fault::Unrecognised("it is a 32-bit kernel without a 64-bit entry".to_owned()));
    }
    let setup = match start.get(SETUP_SECTS).copied().ok_or_else(short)? {
        0 => 4,
        sectors => u64::from(sectors),
    };
    let body = u64::from(u32_at(start, SYSSIZE).ok_or_else(short)?) * 16;
    let promised = (setup + 1) * 512 + body;
    if size < promised {
        return Err(Fault::Truncated(format!("its header promises {promised} bytes, it has {size}")));
    }
    Ok(format!("bzImage, boot protocol {}.{:02}", version >> 8, version & 0xff))
}
