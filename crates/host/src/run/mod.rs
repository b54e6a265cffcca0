// SPDX-License-Identifier: Apache-2.0
//! Worker processes and their run directories.
//!
//! ```text
//!   <root>/lock                    held while a run directory is made or removed
//!   <root>/machines/<id>/          0700, every file in it 0600
//!       worker.json                who runs the machine: pid, start time, boot: together they name one process for ever
//!       control.sock console.sock  bound before the worker exists, so that a worker always has a client
//!       spec.json                  the specification with its paths
//!       worker.log                 what the worker says
//!       black.box                  the last console output and how the machine ended, for after the worker
//! ```
//!
//! A worker is told from another process with the same pid by its start time; the descriptor of the process (pidfd)
//! is opened before the start time is read, so that no other process can come between.

mod directory;
mod process;
mod record;
mod spawn;
mod usage;
mod watch;

pub use directory::{RunDirectory, connect, end_worker, list, remove_stale};
pub use process::{Process, ProcessIdentity, WorkerExit};
pub use record::{Isolation, WorkerRecord, WorkerStatus};
pub use spawn::{Spawned, spawn};
pub use usage::add_usage;
pub use watch::Watcher;
