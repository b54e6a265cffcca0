// SPDX-License-Identifier: Apache-2.0
//! Host services for the orchestrator: what this host can do, files and images, taps, and the worker processes.
//!
//! ```text
//!   doctor   what this host offers, with remedies        image    what a file is, before anything boots it
//!   qcow2    new and larger images                       run      run directories, spawn, adopt, death of workers
//!   copy     clone or sparse copy, all or nothing        hash     SHA-256 of a file
//!   fill     first content of a block device             tap      persistent tap interfaces
//! ```
//!
//! Everything blocks; long calls take a [`Cancel`] and report progress. Nothing here is global to the process.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod cancel;
pub mod copy;
pub mod doctor;
mod error;
mod file;
pub mod fill;
pub mod hash;
pub mod image;
mod partial;
pub mod qcow2;
pub mod run;
pub mod seed;
pub mod tap;

use flotilla_spec::{HostLimits, MAX_CPUS};

pub use cancel::{Cancel, CancelGuard, Progress};
pub use error::HostError;

/// What this host can give a machine. More CPUs than the host has are allowed: they take turns.
pub fn limits() -> HostLimits {
    let info = rustix::system::sysinfo();
    HostLimits { memory: info.totalram.saturating_mul(u64::from(info.mem_unit)), cpus: MAX_CPUS }
}
