// SPDX-License-Identifier: Apache-2.0
//! Why a host service failed.

use std::io;
use std::path::{Path, PathBuf};

use flotilla_control::Failure;
use flotilla_spec::code::ErrorCode;
use rustix::io::Errno;
use thiserror::Error;

/// Why a host service failed.
#[derive(Debug, Error)]
pub enum HostError {
    /// A step on a file failed.
    #[error("Cannot {step} {}: {}", path.display(), reason(source))]
    File {
        /// What was tried, as a verb.
        step: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// A file is something else than a regular file.
    #[error("{} is {what}, not a regular file", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A file is in no format that fits its use.
    #[error("{} cannot be used: {reason}", path.display())]
    Unrecognised {
        /// The file.
        path: PathBuf,
        /// Whether it was to be a kernel, which has a code of its own.
        kernel: bool,
        /// What was found.
        reason: String,
    },
    /// A file ends before it should.
    #[error("{} is cut short: {reason}", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Whether it was to be a kernel, which has a code of its own.
        kernel: bool,
        /// What is absent.
        reason: String,
    },
    /// An argument cannot be used.
    #[error("{message}")]
    Argument {
        /// The code of the argument.
        code: ErrorCode,
        /// What is wrong.
        message: String,
    },
    /// A worker is not as it should be.
    #[error("{message}")]
    Worker {
        /// The code.
        code: ErrorCode,
        /// What is wrong.
        message: String,
    },
    /// The caller withdrew the call.
    #[error("Call was aborted")]
    Aborted,
}

impl HostError {
    /// For `map_err`: names the step and the path of a failed call.
    pub(crate) fn file<E: Into<io::Error>>(step: &'static str, path: &Path) -> impl FnOnce(E) -> Self {
        move |error| Self::File { step, path: path.to_owned(), source: error.into() }
    }

    /// The stable code of the error.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::File { source, .. } => code_of(source),
            Self::NotRegular { .. } => ErrorCode::FileNotRegular,
            Self::Unrecognised { kernel: true, .. } => ErrorCode::KernelUnrecognised,
            Self::Unrecognised { kernel: false, .. } => ErrorCode::ImageUnrecognised,
            Self::Truncated { kernel: true, .. } => ErrorCode::KernelTruncated,
            Self::Truncated { kernel: false, .. } => ErrorCode::ImageTruncated,
            Self::Argument { code, .. } | Self::Worker { code, .. } => *code,
            Self::Aborted => ErrorCode::Aborted,
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

fn code_of(error: &io::Error) -> ErrorCode {
    match Errno::from_io_error(error) {
        Some(Errno::NOENT) => ErrorCode::FileMissing,
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => ErrorCode::FileDenied,
        Some(Errno::ISDIR | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => ErrorCode::FileNotRegular,
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => ErrorCode::HostNoSpace,
        Some(Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::AGAIN) => ErrorCode::HostNoMemory,
        _ => ErrorCode::Io,
    }
}

/// The kernel's words without the number.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
