// SPDX-License-Identifier: Apache-2.0
//! Files that are there as a whole or not at all.
//!
//! A partial file has a fixed name and a lock, so whoever makes the same file next takes over what a crash left.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flotilla_spec::code::ErrorCode;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::io::Errno;

use crate::{HostError, file};

/// A file under the name `.<target>.partial`, removed unless it is finished.
pub struct Partial {
    pub file: File,
    path: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl Partial {
    /// Takes the temporary name of `target`, which is replaced when this is finished.
    pub fn create(target: &Path) -> Result<Self, HostError> {
        let Some(name) = target.file_name() else {
            return Err(HostError::NotRegular { path: target.to_owned(), what: "a directory" });
        };
        if target.is_dir() {
            return Err(HostError::NotRegular { path: target.to_owned(), what: "a directory" });
        }
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let path = target.with_file_name(hidden);
        let file = open_locked(&path)?;
        let partial = Self { file, path, target: target.to_owned(), finished: false };
        partial.file.set_len(0).map_err(HostError::file("empty", &partial.path))?;
        Ok(partial)
    }

    /// Makes the file durable, and gives it its name.
    pub fn finish(mut self) -> Result<(), HostError> {
        self.file.sync_all().map_err(HostError::file("write", &self.target))?;
        fs::rename(&self.path, &self.target).map_err(HostError::file("rename to", &self.target))?;
        self.finished = true;
        file::sync_directory(file::parent(&self.target))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Opens and locks the partial file. One that somebody else finished or removed meanwhile is let go.
fn open_locked(path: &Path) -> Result<File, HostError> {
    loop {
        let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
        let file = options.open(path).map_err(HostError::file("create", path))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|error| busy(path, error))?;
        let ours = file.metadata().map_err(HostError::file("look at", path))?;
        match fs::symlink_metadata(path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => return Ok(file),
            Ok(_) | Err(_) => {}
        }
    }
}

fn busy(path: &Path, error: Errno) -> HostError {
    match error {
        Errno::WOULDBLOCK => HostError::Argument {
            code: ErrorCode::Io,
            message: format!("The same file is being made: {} is locked", path.display()),
        },
        other => HostError::file("lock", path)(other),
    }
}
