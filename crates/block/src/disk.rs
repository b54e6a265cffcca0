// SPDX-License-Identifier: Apache-2.0
//! What the queues of a disk share.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::alignment::Alignment;
use crate::transfer::Limits;
use crate::{lock, size};

/// An open disk and its lock, shared by the queues on it.
pub(crate) struct Disk {
    file: OwnedFd,
    size: AtomicU64,
    read_only: bool,
    /// What transfers must keep to, if they pass the host's page cache by.
    alignment: Option<Alignment>,
    /// Whether it is a block device and not a file.
    pub(crate) is_device: bool,
    keeps_lock: AtomicBool,
}

impl Disk {
    pub(crate) fn new(file: OwnedFd, limits: Limits) -> Self {
        let Limits { size, read_only } = limits;
        Self {
            file,
            size: AtomicU64::new(size),
            read_only,
            alignment: None,
            is_device: false,
            keeps_lock: AtomicBool::new(false),
        }
    }

    /// This disk, with transfers that pass the host's page cache by.
    pub(crate) fn with_alignment(mut self, alignment: Option<Alignment>) -> Self {
        self.alignment = alignment;
        self
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits { size: self.size.load(Ordering::Relaxed), read_only: self.read_only }
    }

    pub(crate) fn alignment(&self) -> Option<Alignment> {
        self.alignment
    }

    /// Looks how large it is now.
    pub(crate) fn refresh_size(&self) -> io::Result<u64> {
        let file = File::from(self.file.try_clone()?);
        let size = size::of(file.as_fd()).map_err(io::Error::other)?;
        self.size.store(size, Ordering::Relaxed);
        Ok(size)
    }

    /// Leaves the lock to others who use the open file.
    pub(crate) fn keep_lock(&self) {
        self.keeps_lock.store(true, Ordering::Relaxed);
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.keeps_lock.load(Ordering::Relaxed) {
            return;
        }
        // The kernel lets go of a ring's files some time after the ring is closed, and with them of the lock. The
        // next machine must not find the disk in use that long. There is nothing to do about a failure.
        let _ = lock::unlock(&self.file);
    }
}
