// SPDX-License-Identifier: Apache-2.0
//! Why a file cannot serve as a disk.

use std::io;

use thiserror::Error;

/// Why a file cannot serve as a disk.
#[derive(Debug, Error)]
pub enum BlockError {
    /// It is a directory, a pipe, a character device or the like.
    #[error("Disk is neither a regular file nor a block device: give an image file or a block device")]
    NotRegular,
    /// The length is not a whole number of sectors.
    #[error(
        "Disk has {len} bytes, which is not a multiple of 512: extend it to {} bytes (truncate --size={})",
        len.next_multiple_of(512), len.next_multiple_of(512)
    )]
    Size {
        /// Length in bytes.
        len: u64,
    },
    /// The file is empty.
    #[error("Disk has no bytes: give it a size first (truncate --size=10G)")]
    Empty,
    /// The descriptor does not allow what the options ask for.
    #[error("Disk is open {found} but is to be used {wanted}: open it so, or ask for a read-only disk")]
    Access {
        /// How it is open.
        found: &'static str,
        /// How it is to be used.
        wanted: &'static str,
    },
    /// The descriptor carries a flag that changes what reads and writes mean.
    #[error("Disk is open with {flag}: open it without")]
    Flag {
        /// The flag.
        flag: &'static str,
    },
    /// Somebody else holds a lock that excludes ours.
    #[error(
        "Disk is in use: another machine holds it, and {wanted} access excludes that. \
         Stop that machine, or use a copy of the disk"
    )]
    InUse {
        /// The access that was refused: `exclusive` or `shared`.
        wanted: &'static str,
    },
    /// The file system has no byte-range locks.
    #[error(
        "File system of the disk has no locks: move the disk to a local file system, or mount with locks"
    )]
    LockUnsupported(#[source] io::Error),
    /// The file system cannot pass its cache by.
    #[error("File system of the disk has no direct I/O: use cache writeback or writethrough")]
    Direct(#[source] io::Error),
    /// The engine that was asked for is not to be had.
    #[error(
        "Host refuses io_uring: use the engine auto or direct, or allow it (sysctl kernel.io_uring_disabled=0)"
    )]
    Engine(#[source] io::Error),
    /// The host refused an operation on the file.
    #[error("Cannot {step} of the disk: see the cause")]
    Host {
        /// What was refused.
        step: &'static str,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
}

impl BlockError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRegular => "file.not_regular",
            Self::Size { .. } | Self::Empty => "disk.size",
            Self::Access { .. } => "file.denied",
            Self::InUse { .. } => "disk.locked",
            Self::Direct(_) => "disk.cache_unsupported",
            Self::Engine(_) => "disk.engine_unavailable",
            Self::Flag { .. } | Self::LockUnsupported(_) | Self::Host { .. } => "io",
        }
    }
}
