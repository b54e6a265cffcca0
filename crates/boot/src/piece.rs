// SPDX-License-Identifier: Apache-2.0
//! A step of a boot plan.

use crate::image::FileKind;
use crate::layout::Window;

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
