// SPDX-License-Identifier: Apache-2.0
//! Opening files that somebody else named.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::HostError;

/// Opens a regular file for reading. Never waits, as opening a FIFO would.
pub fn open_regular(path: &Path) -> Result<(File, u64), HostError> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = opened.map_err(HostError::file("open", path))?;
    let metadata = file.metadata().map_err(HostError::file("look at", path))?;
    if metadata.is_file() {
        return Ok((file, metadata.len()));
    }
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_dir() => "a directory",
        () if kind.is_block_device() => "a block device",
        () if kind.is_char_device() => "a character device",
        () if kind.is_fifo() => "a FIFO",
        () => "a special file",
    };
    Err(HostError::NotRegular { path: path.to_owned(), what })
}

/// Makes the entries of a directory durable.
pub fn sync_directory(path: &Path) -> Result<(), HostError> {
    let directory = File::open(path).map_err(HostError::file("open", path))?;
    directory.sync_all().map_err(HostError::file("sync", path))
}

/// The directory a path is in.
pub fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
