// SPDX-License-Identifier: Apache-2.0
//! Why a folder cannot be shared.

use std::io;

use thiserror::Error;

/// Why a folder cannot be shared.
#[derive(Debug, Error)]
pub enum ShareError {
    /// The program is not installed.
    #[error(
        "Program virtiofsd is not there: install the package qemu-system-common of Debian 12, or virtiofsd"
    )]
    Missing,
    /// This user may not do it.
    #[error("Permission to share a folder is denied: virtiofsd is locked into it, which takes root")]
    Denied(#[source] io::Error),
    /// The path is in none of the folders that may be shared.
    #[error("Folder is in none of those that machines may share")]
    Forbidden,
    /// There is no such folder.
    #[error("Folder does not exist")]
    Absent(#[source] io::Error),
    /// The path leads to something else.
    #[error("Path does not lead to a folder")]
    NotFolder(#[source] io::Error),
    /// The program ended by itself, or does not answer.
    #[error("Program virtiofsd does not start: {said}")]
    Failed {
        /// What it said.
        said: String,
    },
    /// The descriptor is no socket of such a program.
    #[error("Descriptor is no UNIX stream socket whose other end virtiofsd has")]
    NotSocket(#[source] io::Error),
    /// The host refused a step.
    #[error("Cannot {step} virtiofsd: see the cause")]
    Host {
        /// What was refused.
        step: &'static str,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
}

impl ShareError {
    /// The stable code of the error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "share.missing",
            Self::Denied(_) => "share.denied",
            Self::Forbidden => "share.forbidden",
            Self::Absent(_) => "file.missing",
            Self::NotFolder(_) => "share.not_folder",
            Self::Failed { .. } => "share.failed",
            Self::NotSocket(_) => "spec.descriptor_invalid",
            Self::Host { .. } => "io",
        }
    }
}
