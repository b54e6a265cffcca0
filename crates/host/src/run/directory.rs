// SPDX-License-Identifier: Apache-2.0
//! Run directories.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flotilla_control::black_box::{self, BlackBoxError, ConsoleRecord};
use flotilla_spec::code::ErrorCode;
use flotilla_spec::id::MachineId;
use flotilla_spec::report::MachineExit;
use rustix::fs::{FlockOperation, OFlags, flock};

use super::process::ProcessIdentity;
use super::record::{Isolation, WorkerRecord, WorkerStatus};
use crate::{HostError, file};

/// The longest path of a UNIX socket (`sun_path` without its NUL).
const MAX_SOCKET_PATH: usize = 107;

/// How long a killed process may take to end: the kernel takes its memory apart before.
const END_LIMIT: Duration = Duration::from_secs(30);

/// The file that outlives the worker.
const BLACK_BOX: &str = "black.box";

/// The run directory of one machine.
#[derive(Debug, Clone)]
pub struct RunDirectory {
    root: PathBuf,
    path: PathBuf,
}

impl RunDirectory {
    /// The run directory of `id` below `root`, whether it exists or not.
    pub fn of(root: &Path, id: &MachineId) -> Self {
        Self { root: root.to_owned(), path: root.join("machines").join(id.as_str()) }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.path.join("control.sock")
    }

    /// The console socket.
    pub fn console_socket(&self) -> PathBuf {
        self.path.join("console.sock")
    }

    /// Makes the directory, empty. One whose worker lives is refused, one whose worker is dead is cleared.
    pub fn create(&self) -> Result<(), HostError> {
        let machines = self.root.join("machines");
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&machines);
        made.map_err(HostError::file("create", &machines))?;
        let _lock = self.lock()?;
        if self.path.symlink_metadata().is_ok() {
            self.refuse_live()?;
            self.remove_locked()?;
        }
        let made = DirBuilder::new().mode(0o700).create(&self.path);
        made.map_err(HostError::file("create", &self.path))
    }

    /// Removes the directory unless its worker lives. One that does not exist is no error.
    pub fn remove(&self) -> Result<(), HostError> {
        if !self.path.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        self.refuse_live()?;
        self.remove_locked()
    }

    /// Removes the directory of a machine whose process the caller has ended. One that belongs to another process by
    /// now, because the machine was made again, is left alone.
    pub fn discard(&self, ended: ProcessIdentity) -> Result<(), HostError> {
        if !self.path.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        match self.record()? {
            Some(record) if record.identity() != ended => Ok(()),
            Some(_) | None => self.remove_locked(),
        }
    }

    /// Writes a file in one step: after a crash it is whole or absent.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<(), HostError> {
        let (path, partial) = (self.path.join(name), self.path.join(format!(".{name}.partial")));
        let failed = |error| HostError::file("write", &path)(error);
        let options = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
        options.and_then(|mut file| file.write_all(content)).map_err(failed)?;
        fs::rename(&partial, &path).map_err(HostError::file("write", &path))
    }

    /// Creates a file that does not exist yet, for appending.
    pub fn create_log(&self, name: &str) -> Result<File, HostError> {
        let path = self.path.join(name);
        let opened = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
        opened.map_err(HostError::file("create", &path))
    }

    /// Makes the black box for a worker to start: its whole length at once, none of it taken from the disk.
    pub fn create_black_box(&self) -> Result<File, HostError> {
        let path = self.path.join(BLACK_BOX);
        let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let sized = opened.and_then(|file| file.set_len(black_box::LEN).map(|()| file));
        sized.map_err(HostError::file("create", &path))
    }

    /// The last console output of a machine whose worker ended or is about to. `None` when there is none.
    pub fn last_console(&self) -> Result<Option<ConsoleRecord>, HostError> {
        self.read_black_box(black_box::read_console)
    }

    /// How the machine ended, as its worker has left it. `None` when it left no word: it runs, or a signal ended it.
    pub fn last_exit(&self) -> Result<Option<MachineExit>, HostError> {
        self.read_black_box(black_box::read_exit).map(Option::flatten)
    }

    fn read_black_box<T>(
        &self,
        read: impl FnOnce(&File) -> Result<T, BlackBoxError>,
    ) -> Result<Option<T>, HostError> {
        let path = self.path.join(BLACK_BOX);
        // A worker holds the file open and no more. Still, whatever lies there must not make us wait or follow.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let opened =
            OpenOptions::new().read(true).custom_flags(i32::try_from(flags).unwrap_or_default()).open(&path);
        let file = match opened {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            other => other.map_err(HostError::file("open", &path))?,
        };
        match read(&file) {
            // Made by us, and the worker never got so far as to start it.
            Err(BlackBoxError::Foreign) => Ok(None),
            Err(BlackBoxError::File { source, .. }) => Err(HostError::file("read", &path)(source)),
            Err(error) => {
                Err(HostError::Worker { code: ErrorCode::WorkerProtocol, message: error.to_string() })
            }
            Ok(read) => Ok(Some(read)),
        }
    }

    /// Reads who runs the machine. `None` when that was never written.
    pub fn record(&self) -> Result<Option<WorkerRecord>, HostError> {
        let path = self.path.join("worker.json");
        match fs::read(&path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(HostError::file("read", &path)(error)),
        }
    }

    /// Writes who runs the machine.
    pub fn write_record(&self, record: &WorkerRecord) -> Result<(), HostError> {
        let bytes = serde_json::to_vec(record).unwrap_or_default();
        self.write("worker.json", &bytes)
    }

    /// A listening socket in the directory, for its owner only.
    pub fn listen(&self, name: &str) -> Result<UnixListener, HostError> {
        let path = self.path.join(name);
        let (_directory, short) = short_path(&path)?;
        let listener = UnixListener::bind(&short).map_err(HostError::file("listen on", &path))?;
        fs::set_permissions(&short, fs::Permissions::from_mode(0o600))
            .map_err(HostError::file("protect", &path))?;
        Ok(listener)
    }

    fn refuse_live(&self) -> Result<(), HostError> {
        let record = self.record()?.filter(|record| record.process().is_some());
        let Some(WorkerRecord { id, pid, .. }) = record else { return Ok(()) };
        let message = format!("Machine {id} is run by the live process {pid}: adopt or kill it first");
        Err(HostError::Worker { code: ErrorCode::WorkerBusy, message })
    }

    fn remove_locked(&self) -> Result<(), HostError> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(HostError::file("remove", &self.path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Keeps every other process out of making and removing run directories.
    fn lock(&self) -> Result<File, HostError> {
        let path = self.root.join("lock");
        let flags = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(flags)
            .open(&path);
        let file = opened.map_err(HostError::file("open", &path))?;
        flock(&file, FlockOperation::LockExclusive).map_err(HostError::file("lock", &path))?;
        Ok(file)
    }
}

/// Every run directory below `root` and whether its process lives, sorted by id.
pub fn list(root: &Path) -> Result<Vec<WorkerStatus>, HostError> {
    let machines = root.join("machines");
    let entries = match fs::read_dir(&machines) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(HostError::file("read", &machines))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(HostError::file("read", &machines))?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<MachineId>().ok()) else { continue };
        let record = RunDirectory::of(root, &id).record()?;
        // The directory decides whose it is, and one without a record has nobody.
        let record = WorkerRecord { id: id.into(), ..record.unwrap_or_default() };
        found.push(WorkerStatus { alive: record.process().is_some(), record });
    }
    found.sort_by(|one, other| one.record.id.cmp(&other.record.id));
    Ok(found)
}

/// Removes the run directory of a dead worker. A live one is refused, an absent one is no error.
pub fn remove_stale(root: &Path, id: &MachineId) -> Result<(), HostError> {
    RunDirectory::of(root, id).remove()
}

/// Ends the worker of a machine by what its record says of the process, for one that does not answer on its control
/// socket. What it leaves stays. One that has ended, or never was, is no error; a machine in a process that does other
/// things too is left alone.
pub fn end_worker(root: &Path, id: &MachineId) -> Result<(), HostError> {
    let record = RunDirectory::of(root, id).record()?.filter(|record| record.isolation == Isolation::Process);
    let Some(process) = record.and_then(|record| record.process()) else { return Ok(()) };
    process.kill();
    // Whoever started it and is there still learns how it ended; for us a zombie has ended too.
    if process.wait(END_LIMIT) {
        return Ok(());
    }
    let pid = process.identity().pid;
    let message =
        format!("Process {pid} of machine {id} was killed and does not end: look at what its disks are on");
    Err(HostError::Worker { code: ErrorCode::WorkerBusy, message })
}

/// Connects to a socket, however long its path is.
pub fn connect(path: &Path) -> Result<UnixStream, HostError> {
    let (_directory, short) = short_path(path)?;
    UnixStream::connect(short).map_err(HostError::file("connect to", path))
}

/// The path itself, or a short one through an open descriptor of its directory.
fn short_path(path: &Path) -> Result<(Option<File>, PathBuf), HostError> {
    if path.as_os_str().len() <= MAX_SOCKET_PATH {
        return Ok((None, path.to_owned()));
    }
    let folder = file::parent(path);
    let directory = File::open(folder).map_err(HostError::file("open", folder))?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string());
    Ok((Some(directory), short.join(path.file_name().unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::super::Process;
    use super::*;

    fn id(text: &str) -> MachineId {
        text.parse().unwrap()
    }

    #[test]
    fn clears_what_a_dead_worker_left_and_refuses_a_live_one() {
        let root = tempfile::tempdir().unwrap();
        let directory = RunDirectory::of(root.path(), &id("a"));
        directory.create().unwrap();
        let mode = fs::metadata(directory.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let ours = Process::open(std::process::id()).unwrap();
        let record = WorkerRecord::new("a", &ours, Isolation::InProcess);
        directory.write_record(&record).unwrap();
        assert_eq!(directory.create().unwrap_err().code(), ErrorCode::WorkerBusy);
        assert_eq!(remove_stale(root.path(), &id("a")).unwrap_err().code(), ErrorCode::WorkerBusy);
        for dead in [
            WorkerRecord { start_time: record.start_time + 1, ..record.clone() },
            WorkerRecord { boot_id: "another".to_owned(), ..record.clone() },
        ] {
            directory.write_record(&dead).unwrap();
            directory.listen("control.sock").unwrap();
            directory.create().unwrap();
            assert!(!directory.control_socket().exists());
        }
        remove_stale(root.path(), &id("a")).unwrap();
        remove_stale(root.path(), &id("a")).unwrap();
        assert!(!directory.path().exists());
        let gone = root.path().join("gone");
        remove_stale(&gone, &id("a")).unwrap();
        assert!(!gone.exists(), "removing makes nothing");
    }

    #[test]
    fn ends_the_very_process_of_the_record_and_no_other() {
        let root = tempfile::tempdir().unwrap();
        let directory = RunDirectory::of(root.path(), &id("a"));
        end_worker(root.path(), &id("a")).unwrap();
        directory.create().unwrap();
        end_worker(root.path(), &id("a")).unwrap();
        let mut child = std::process::Command::new("sleep").arg("100").spawn().unwrap();
        let process = Process::open(child.id()).unwrap();
        let record = WorkerRecord::new("a", &process, Isolation::Process);
        for other in [
            WorkerRecord { start_time: record.start_time + 1, ..record.clone() },
            WorkerRecord { boot_id: "another".to_owned(), ..record.clone() },
            WorkerRecord { isolation: Isolation::InProcess, ..record.clone() },
        ] {
            directory.write_record(&other).unwrap();
            end_worker(root.path(), &id("a")).unwrap();
            assert!(!process.wait(Duration::ZERO), "{other:?}");
        }
        directory.write_record(&record).unwrap();
        end_worker(root.path(), &id("a")).unwrap();
        assert!(process.wait(Duration::ZERO));
        assert_eq!(child.wait().unwrap().code(), None, "a signal ended it");
        assert!(directory.path().exists(), "what it leaves stays");
        end_worker(root.path(), &id("a")).unwrap();
    }

    #[test]
    fn leaves_the_directory_of_another_process_alone() {
        let root = tempfile::tempdir().unwrap();
        let directory = RunDirectory::of(root.path(), &id("a"));
        directory.create().unwrap();
        let ours = Process::open(std::process::id()).unwrap();
        let record = WorkerRecord::new("a", &ours, Isolation::Process);
        directory.write_record(&WorkerRecord { pid: 1, ..record.clone() }).unwrap();
        directory.discard(ours.identity()).unwrap();
        assert!(directory.path().exists());
        directory.write_record(&record).unwrap();
        directory.discard(ours.identity()).unwrap();
        assert!(!directory.path().exists());
    }

    #[test]
    fn lists_live_and_dead_and_half_made_ones() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(list(root.path()).unwrap(), []);
        for name in ["b", "a", "c"] {
            RunDirectory::of(root.path(), &id(name)).create().unwrap();
        }
        let ours = Process::open(std::process::id()).unwrap();
        let record = WorkerRecord::new("a", &ours, Isolation::InProcess);
        RunDirectory::of(root.path(), &id("a")).write_record(&record).unwrap();
        RunDirectory::of(root.path(), &id("b")).write("worker.json", b"{ half").unwrap();
        let found = list(root.path()).unwrap();
        let seen: Vec<_> = found.iter().map(|status| (status.record.id.as_str(), status.alive)).collect();
        assert_eq!(seen, [("a", true), ("b", false), ("c", false)]);
    }

    #[test]
    fn reads_a_black_box_and_nothing_else_that_lies_there() {
        let root = tempfile::tempdir().unwrap();
        let directory = RunDirectory::of(root.path(), &id("a"));
        assert_eq!(directory.last_console().unwrap(), None);
        directory.create().unwrap();
        let file = directory.create_black_box().unwrap();
        let path = directory.path().join("black.box");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!((directory.last_console().unwrap(), directory.last_exit().unwrap()), (None, None));
        let black_box = flotilla_control::BlackBox::start(file).unwrap();
        black_box.append(b"hello\n");
        assert_eq!(directory.last_console().unwrap().unwrap().bytes, b"hello\n");
        assert_eq!(directory.last_exit().unwrap(), None);
        fs::write(&path, "short").unwrap();
        assert_eq!(directory.last_console().unwrap_err().code(), ErrorCode::WorkerProtocol);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert_eq!(directory.last_exit().unwrap_err().code(), ErrorCode::FileNotRegular);
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(directory.last_exit().unwrap_err().code(), ErrorCode::WorkerProtocol);
    }

    #[test]
    fn listens_and_connects_below_any_path() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("x".repeat(120));
        let directory = RunDirectory::of(&deep, &id("a"));
        directory.create().unwrap();
        let listener = directory.listen("control.sock").unwrap();
        connect(&directory.control_socket()).unwrap();
        listener.accept().unwrap();
        let mode = fs::metadata(directory.control_socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
