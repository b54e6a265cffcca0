// SPDX-License-Identifier: Apache-2.0
//! Where the random bytes come from.

use std::io;

/// Where random bytes come from.
pub trait EntropySource: Send + Sync {
    /// Fills `data` with bytes nobody can predict. Must not block for long.
    fn fill(&self, data: &mut [u8]) -> io::Result<()>;
}

/// The random number generator of the host kernel (`getrandom`).
#[derive(Debug, Default)]
pub struct HostEntropy;

impl EntropySource for HostEntropy {
    fn fill(&self, data: &mut [u8]) -> io::Result<()> {
        getrandom::fill(data).map_err(|error| {
            error.raw_os_error().map_or_else(|| io::Error::other(error), io::Error::from_raw_os_error)
        })
    }
}
