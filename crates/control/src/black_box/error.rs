// SPDX-License-Identifier: Apache-2.0
//! Why a black box cannot be used.

use std::io;

use thiserror::Error;

/// Why a black box cannot be used.
#[derive(Debug, Error)]
pub enum BlackBoxError {
    /// It is no regular file of the right size.
    #[error("Black box is no regular file of {} bytes: make it as the run directory does", super::LEN)]
    Shape,
    /// Magic or version are others: it was never started, or something wrote over it.
    #[error("Black box was not started by a worker of this release")]
    Foreign,
    /// The counter of the output cannot be right.
    #[error("Black box counts {0} bytes of output, more than there can be: nothing of it is used")]
    Counter(u64),
    /// The exit report is damaged or was made up.
    #[error("Exit report in the black box cannot be trusted: {0}")]
    Exit(&'static str),
    /// The file failed.
    #[error("Cannot {step} the black box")]
    File {
        /// What was tried, as a verb.
        step: &'static str,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
}

impl BlackBoxError {
    /// For `map_err`.
    pub(super) fn file(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { step, source }
    }
}
