// SPDX-License-Identifier: Apache-2.0
//! The jail of a worker: what a guest that has taken over its VMM still cannot do.
//!
//! ```text
//!   enter, on the only thread there is                          each thread afterwards
//!   ──────────────────────────────────                          ──────────────────────
//!   close descriptors ─▶ limits ─▶ no new privileges            filters::apply(kind): a list of system calls,
//!     ─▶ namespaces ─▶ empty root ─▶ another user ─▶ Landlock   death of the process for any other
//! ```
//!
//! A worker opens nothing by path: everything it needs is open, or comes over its control socket. So it can enter
//! before it knows its machine, as its first act. Never inside Node or any other process that is not all ours: the
//! steps concern the process as a whole and cannot be undone.
//!
//! What a host or a user without privilege does not allow is left out and reported, never silently.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod descriptors;
mod error;
pub mod filters;
mod limits;
mod paths;
mod policy;
pub mod probe;
mod report;
mod root;
mod user;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;

pub use error::SandboxError;
pub use policy::Policy;
pub use report::{Outcome, Report, Step};

/// Enters the jail. Call it on the only thread of the process.
///
/// After an error the process may be half inside: end it. A step that the host does not allow is no error, unless
/// the policy is strict; look at the report.
pub fn enter(policy: &Policy) -> Result<Report, SandboxError> {
    check_single_thread()?;
    let mut report = Report::default();
    report.add(Step::Descriptors, descriptors::close_all_but(&policy.keep)?);
    report.add(Step::Limits, limits::set(policy.max_descriptors)?);
    prctl::set_no_new_privs().map_err(SandboxError::host("give up new privileges"))?;
    report.add(Step::NoNewPrivileges, Outcome::Applied);
    let isolated = namespaces()?;
    let root = match isolated {
        Outcome::Applied => root::empty()?,
        Outcome::Partial(_) | Outcome::Skipped(_) => {
            Outcome::Skipped("no mount namespace of its own".to_owned())
        }
    };
    report.add(Step::Namespaces, isolated);
    report.add(Step::EmptyRoot, root);
    report.add(Step::User, user::become_other(policy.user, policy.group)?);
    report.add(Step::Landlock, paths::forbid()?);
    if policy.strict && !report.is_complete() {
        return Err(SandboxError::Incomplete { report });
    }
    Ok(report)
}

/// Namespaces, user ids and Landlock are kept for each thread: what another thread did would stay outside.
fn check_single_thread() -> Result<(), SandboxError> {
    match std::fs::read_dir("/proc/self/task") {
        Ok(entries) => match entries.count() {
            1 => Ok(()),
            count => Err(SandboxError::Threads { count }),
        },
        // Without /proc nobody can count.
        Err(_) => Ok(()),
    }
}

fn namespaces() -> Result<Outcome, SandboxError> {
    let all = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS;
    match unshare(all) {
        Ok(()) => Ok(Outcome::Applied),
        Err(error @ (Errno::EPERM | Errno::ENOSPC | Errno::EINVAL)) => {
            Ok(Outcome::Skipped(format!("the host does not allow new namespaces ({error})")))
        }
        Err(error) => Err(SandboxError::host("make namespaces")(error)),
    }
}
