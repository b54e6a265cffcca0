// SPDX-License-Identifier: Apache-2.0
//! Resource limits. File sizes stay as they are: disks are as large as they are.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{Outcome, SandboxError};

pub(crate) fn set(max_descriptors: u64) -> Result<Outcome, SandboxError> {
    // A core dump would hold the guest's memory.
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(SandboxError::host("forbid core dumps"))?;
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(SandboxError::host("read the descriptor limit"))?;
    let limit = max_descriptors.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, limit, limit).map_err(SandboxError::host("limit descriptors"))?;
    Ok(Outcome::Applied)
}
