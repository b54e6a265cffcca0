// SPDX-License-Identifier: Apache-2.0
//! The jail of a worker: entered before anything else, while there is one thread and no client has been heard.

use flotilla_sandbox::{Policy, SandboxError};

/// Gives up everything that a worker does not need. What this host cannot do is left out and logged.
pub fn enter() -> Result<(), SandboxError> {
    let report = flotilla_sandbox::enter(&Policy::default())?;
    tracing::info!(%report, "worker is in its jail");
    Ok(())
}
