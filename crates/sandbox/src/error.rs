// SPDX-License-Identifier: Apache-2.0
//! Why a jail cannot be entered.

use std::io;

use nix::errno::Errno;
use thiserror::Error;

use crate::Report;

/// Why a jail cannot be entered. End the process: it may be half inside.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// The process has more than one thread.
    #[error(
        "Process has {count} threads: enter the jail before any other thread is started, and never inside Node"
    )]
    Threads {
        /// Number of threads.
        count: usize,
    },
    /// The host refused a step that must not fail.
    #[error("Cannot {step}: see the cause")]
    Host {
        /// What was refused.
        step: &'static str,
        /// The host's reason.
        #[source]
        source: io::Error,
    },
    /// The privileges of root came back after they had been given up.
    #[error("User {user} can become root again: this host cannot hold a jail, do not run machines on it")]
    StillPrivileged {
        /// The user id that was to be unprivileged.
        user: u32,
    },
    /// Root was to become root.
    #[error("User or group of the jail is root: give an unprivileged one, such as 65534")]
    RootUser,
    /// The policy is strict and the host does not allow all of it.
    #[error("Jail is not complete ({report}): run as root on a newer kernel, or allow a weaker jail")]
    Incomplete {
        /// What became of each step.
        report: Report,
    },
    /// A filter could not be made or set.
    #[error("Cannot set the system call filter of a {kind} thread: see the cause")]
    Filter {
        /// The kind of thread.
        kind: &'static str,
        /// What stands in the way.
        #[source]
        source: Box<seccompiler::Error>,
    },
    /// A filter could not be compiled: a fault in its list.
    #[error("Cannot compile the system call filter of a {kind} thread: see the cause")]
    FilterList {
        /// The kind of thread.
        kind: &'static str,
        /// What stands in the way.
        #[source]
        source: Box<seccompiler::BackendError>,
    },
}

impl SandboxError {
    pub(crate) fn host(step: &'static str) -> impl Fn(Errno) -> Self {
        move |error| Self::Host { step, source: error.into() }
    }
}
