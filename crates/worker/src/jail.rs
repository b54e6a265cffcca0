// SPDX-License-Identifier: Apache-2.0
//! The jail of a worker: entered before anything else, while there is one thread and no client has been heard.
//!
//! The main thread takes the filter of the control side at once, and every thread inherits it. vCPU and I/O threads
//! narrow it further as their first act.

use std::io;
use std::sync::Arc;

use flotilla_sandbox::filters::{self, ThreadKind};
use flotilla_sandbox::{Policy, SandboxError};
use flotilla_vmm::{ThreadHook, ThreadRole};

/// Gives up everything that a worker does not need. What this host cannot do is left out and logged.
pub fn enter() -> Result<(), SandboxError> {
    let report = flotilla_sandbox::enter(&Policy::default())?;
    filters::apply(ThreadKind::Control)?;
    tracing::info!(%report, "worker is in its jail");
    Ok(())
}

/// Narrows the filter of a thread to what its role needs.
pub fn thread_hook() -> ThreadHook {
    Arc::new(|role| {
        let kind = match role {
            ThreadRole::Vcpu => ThreadKind::Vcpu,
            ThreadRole::Io => ThreadKind::Io,
        };
        filters::apply(kind).map_err(io::Error::other)
    })
}
