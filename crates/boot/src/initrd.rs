// SPDX-License-Identifier: Apache-2.0
//! The initial RAM disk.

use std::io;

use flotilla_memory::GuestMemory;

use crate::e820;
use crate::error::BootError;
use crate::image::{FileKind, Image};
use crate::layout::Window;
use crate::piece::Piece;

const PAGE: u64 = 4096;
/// The highest address for kernels that do not state one: Linux' own value.
pub(crate) const DEFAULT_LIMIT: u64 = 0x7fff_ffff;

/// Places the initrd as high as possible: at the top of the first RAM region, ending at `last` at the latest, above
/// `kernel_end`.
pub(crate) fn place(
    image: &dyn Image,
    memory: &GuestMemory,
    kernel_end: u64,
    last: u64,
) -> Result<Piece, BootError> {
    let unreadable = |source| BootError::Read { file: FileKind::Initrd, source };
    let len = image.size().map_err(unreadable)?;
    if len == 0 {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")));
    }
    let top = e820::region_of(memory, 0).map_or(0, |(_, end)| end).min(last.saturating_add(1));
    let address = top.checked_sub(len).map(|address| address / PAGE * PAGE);
    let Some(address) = address.filter(|&address| address >= kernel_end) else {
        let end = kernel_end.saturating_add(len);
        return Err(BootError::DoesNotFit { what: "the initrd", start: kernel_end, end });
    };
    Ok(Piece::File { file: FileKind::Initrd, offset: 0, address, len })
}

/// Where a placed initrd lies; empty without one.
pub(crate) fn range(piece: Option<&Piece>) -> Window {
    piece.map_or(Window { start: 0, len: 0 }, Piece::range)
}
