// SPDX-License-Identifier: Apache-2.0
//! Starting a worker.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::directory::{RunDirectory, connect};
use super::process::Process;
use super::record::{Isolation, WorkerRecord};
use crate::{Cancel, HostError};

/// The variable that says what a worker logs; the only one it inherits.
const LOG_FILTER: &str = "FLOTILLA_LOG";

/// A worker that was started and not yet configured. Dropping it ends it and removes its run directory.
pub struct Spawned {
    /// The process.
    pub process: Process,
    /// Its run directory.
    pub directory: RunDirectory,
    /// Our end of its first control connection.
    pub control: UnixStream,
    /// The listening socket of the console, for the worker.
    pub console: UnixListener,
    /// The black box, for the worker.
    pub black_box: File,
    kept: bool,
}

impl Spawned {
    /// Lets the worker live. It is up to the caller from now on to end it and to remove its directory.
    pub fn keep(mut self) -> Result<(Process, RunDirectory), HostError> {
        let process =
            self.process.try_clone().map_err(HostError::file("keep the worker of", self.directory.path()))?;
        self.kept = true;
        Ok((process, self.directory.clone()))
    }
}

impl Drop for Spawned {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        self.process.kill();
        self.process.wait(Duration::from_secs(5));
        self.process.reap();
        let _ = self.directory.discard(self.process.identity());
    }
}

/// Makes the run directory of `id` below `root` and starts the worker program in it.
///
/// The control connection is open before the worker starts. Should this process die at any point from here on, the
/// worker sees the connection end, and one whose machine never booted ends by itself then.
pub fn spawn(root: &Path, id: &MachineId, program: &Path, cancel: &Cancel) -> Result<Spawned, HostError> {
    let directory = RunDirectory::of(root, id);
    directory.create()?;
    let started = start(&directory, id, program, cancel);
    if started.is_err() {
        let _ = directory.remove();
    }
    started
}

fn start(
    directory: &RunDirectory,
    id: &MachineId,
    program: &Path,
    cancel: &Cancel,
) -> Result<Spawned, HostError> {
    let listener = directory.listen("control.sock")?;
    let console = directory.listen("console.sock")?;
    let log = directory.create_log("worker.log")?;
    let black_box = directory.create_black_box()?;
    let control = connect(&directory.control_socket())?;
    cancel.check()?;
    // No `pre_exec` and no user ids: so this is `posix_spawn`, which is safe in a process with threads.
    let mut command = Command::new(program);
    command.arg("serve").env_clear().current_dir("/");
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::from(log));
    if let Some(filter) = std::env::var_os(LOG_FILTER) {
        command.env(LOG_FILTER, filter);
    }
    let child = command.spawn().map_err(HostError::file("start the worker", program))?;
    // The child is not reaped yet, so its pid is its own.
    let Some(process) = Process::open(child.id()) else { return Err(died(directory, child)) };
    let directory = directory.clone();
    let spawned = Spawned { process, directory, control, console, black_box, kept: false };
    let directory = &spawned.directory;
    directory.write_record(&WorkerRecord::new(id.as_str(), &spawned.process, Isolation::Process))?;
    cancel.check()?;
    Ok(spawned)
}

/// What a worker locks beside the memory of its guest: rings of disks, mostly.
const LOCKED_BESIDE: u64 = 64 << 20;

impl Spawned {
    /// Lets the worker lock as much memory as its guest has. It has given up the right to do so itself; without this right in
    /// this process either, the worker says what the limit is.
    pub fn allow_locked_memory(&self, bytes: u64) {
        let Some(pid) = i32::try_from(self.process.identity().pid).ok().and_then(Pid::from_raw) else {
            return;
        };
        let limit = Some(bytes.saturating_add(LOCKED_BESIDE));
        let wanted = Rlimit { current: limit, maximum: limit };
        if let Err(error) = prlimit(Some(pid), Resource::Memlock, wanted) {
            tracing::debug!(%error, "the limit of locked memory stays as it is");
        }
    }
}

fn died(directory: &RunDirectory, mut child: std::process::Child) -> HostError {
    // It may live: this process may have no descriptor left to hold it by.
    let _ = child.kill();
    let status = child.wait().map(|status| status.to_string()).unwrap_or_default();
    let said = std::fs::read_to_string(directory.path().join("worker.log")).unwrap_or_default();
    let last = said.lines().last().unwrap_or_default();
    HostError::Worker {
        code: ErrorCode::WorkerGone,
        message: format!("Worker ended at its start ({status}): {last}"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::list;
    use super::*;

    #[test]
    fn starts_a_worker_and_leaves_nothing_when_it_is_dropped() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("worker");
        fs::write(
            &program,
            "#!/bin/sh\n[ \"$1\" = serve ] && [ -S /dev/stdin ] && echo up >&2\nexec sleep 100\n",
        )
        .unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&program, mode).unwrap();
        let id: MachineId = "a".parse().unwrap();
        let worker = spawn(root.path(), &id, &program, &Cancel::new()).unwrap();
        let listed = list(root.path()).unwrap();
        assert!(listed[0].alive);
        assert_eq!(listed[0].record.pid, worker.process.identity().pid);
        let again = spawn(root.path(), &id, &program, &Cancel::new());
        assert_eq!(again.err().unwrap().code(), ErrorCode::WorkerBusy);
        let pid = worker.process.identity().pid;
        drop(worker);
        assert!(Process::open(pid).is_none());
        assert_eq!(list(root.path()).unwrap(), []);
    }

    #[test]
    fn says_what_is_wrong_with_the_program() {
        let root = tempfile::tempdir().unwrap();
        let id: MachineId = "a".parse().unwrap();
        let code =
            |program: &str| spawn(root.path(), &id, Path::new(program), &Cancel::new()).err().unwrap().code();
        assert_eq!(code("/nonexistent"), ErrorCode::FileMissing);
        let plain = root.path().join("plain");
        fs::write(&plain, "no program").unwrap();
        assert_eq!(code(plain.to_str().unwrap()), ErrorCode::FileDenied);
        assert_eq!(list(root.path()).unwrap(), []);
    }
}
