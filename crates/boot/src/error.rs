// SPDX-License-Identifier: Apache-2.0
//! Why a guest cannot be booted from what was given.

use std::io;

use thiserror::Error;

use crate::image::FileKind;

/// Why no boot plan could be made or applied. [`BootError::code`] is stable, the text is for people.
#[derive(Debug, Error)]
pub enum BootError {
    /// A file could not be read, or is not a regular file.
    #[error("Cannot read the {file}: give a readable regular file")]
    Read {
        /// Which file.
        file: FileKind,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The kernel is in no format this machine boots.
    #[error("Kernel is {found}, not an x86-64 vmlinux (ELF) or bzImage: give one of these")]
    UnknownFormat {
        /// What the file looks like.
        found: &'static str,
    },
    /// The kernel begins well, but a part of it is missing or contradicts another.
    #[error("Kernel is damaged: {detail}. Copy or build it again")]
    Malformed {
        /// What is wrong.
        detail: &'static str,
    },
    /// The kernel is sound, but not for this machine or protocol.
    #[error("Kernel cannot be booted: {reason}")]
    Unsupported {
        /// Why, and what to do.
        reason: &'static str,
    },
    /// A part does not fit into the machine's memory.
    #[error(
        "{what} needs guest memory {start:#x}..{end:#x}, which this machine does not have: give it more memory"
    )]
    DoesNotFit {
        /// What was to be placed.
        what: &'static str,
        /// First guest address.
        start: u64,
        /// First guest address after it.
        end: u64,
    },
    /// The command line cannot be passed on.
    #[error("Command line {problem}")]
    CommandLine {
        /// What is wrong with it, and what to do.
        problem: CommandLineProblem,
    },
    /// The tables that tell a guest of its machine cannot be built.
    #[error("Cannot build the tables that describe the machine: {reason}")]
    Tables {
        /// Why, and what to do.
        reason: &'static str,
    },
    /// Guest memory refused a write that had been checked.
    #[error("Cannot write {len} bytes to guest memory at {address:#x}: memory changed between plan and boot")]
    Write {
        /// Guest address.
        address: u64,
        /// Length in bytes.
        len: u64,
        /// What went wrong.
        #[source]
        source: vm_memory::GuestMemoryError,
    },
}

/// What is wrong with a command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandLineProblem {
    /// Too long.
    #[error("has {len} bytes, this kernel takes {max}: shorten it")]
    TooLong {
        /// Its length in bytes.
        len: u64,
        /// The largest length in bytes.
        max: u64,
    },
    /// Contains a byte that ends it early or that a kernel cannot print.
    #[error("contains a control character at byte {position}: remove it")]
    ControlCharacter {
        /// Offset in bytes.
        position: u64,
    },
}

impl BootError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Read { file: FileKind::Kernel, .. } => "boot.kernel_unreadable",
            Self::Read { file: FileKind::Initrd, .. } => "boot.initrd_unreadable",
            Self::UnknownFormat { .. } => "boot.kernel_format",
            Self::Malformed { .. } => "boot.kernel_damaged",
            Self::Unsupported { .. } => "boot.kernel_unsupported",
            Self::DoesNotFit { .. } => "boot.out_of_memory",
            Self::CommandLine { .. } => "boot.command_line",
            Self::Tables { .. } => "boot.tables",
            Self::Write { .. } => "boot.memory",
        }
    }
}
