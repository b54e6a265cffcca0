// SPDX-License-Identifier: Apache-2.0
//! Why a file cannot serve as a qcow2 disk.

use std::io;

use thiserror::Error;

use crate::BlockError;

/// Why a file cannot serve as a qcow2 disk.
#[derive(Debug, Error)]
pub enum Qcow2Error {
    /// The file does not start as a qcow2 image does.
    #[error("Disk is no qcow2 image: give its real format, or convert it (qemu-img convert -O qcow2)")]
    NotQcow2,
    /// The image uses something that we do not know or do not want.
    #[error("Image uses {what}, which is not supported: convert it (qemu-img convert -O qcow2)")]
    Unsupported {
        /// What it uses.
        what: String,
    },
    /// A field of the image makes no sense, or a table lies where it must not.
    #[error("Image is damaged: {what}. Look at it with qemu-img check, or restore it from a backup")]
    Corrupt {
        /// What is wrong.
        what: String,
    },
    /// The files given do not make the chain that the images name.
    #[error("Backing chain does not fit: {what}")]
    Backing {
        /// What does not fit, and what to do.
        what: String,
    },
    /// An option of creation or a new size is out of range.
    #[error("{what}")]
    Option {
        /// Which one, and what is allowed.
        what: String,
    },
    /// The file itself cannot be used.
    #[error(transparent)]
    File(#[from] BlockError),
    /// The host refused an operation on the file.
    #[error("Cannot {step} the image: see the cause")]
    Host {
        /// What was refused.
        step: &'static str,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
}

impl Qcow2Error {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotQcow2 => "disk.format",
            Self::Unsupported { .. } => "disk.format_unsupported",
            Self::Corrupt { .. } => "disk.corrupt",
            Self::Backing { .. } => "disk.backing",
            Self::Option { .. } => "disk.size",
            Self::File(error) => error.code(),
            Self::Host { .. } => "io",
        }
    }

    pub(super) fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(super) fn backing(what: impl Into<String>) -> Self {
        Self::Backing { what: what.into() }
    }

    /// A failure to read or write while opening: damage that was found on the way stays damage.
    pub(super) fn host(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::InvalidData => Self::Corrupt { what: source.to_string() },
            _ => Self::Host { step, source },
        }
    }
}

/// Damage found while a request is carried out: the request fails, the machine goes on.
pub(super) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("qcow2 image is damaged: {what}"))
}
