// SPDX-License-Identifier: Apache-2.0
//! What the queues of a disk share.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::lock;
use crate::transfer::Limits;

/// An open disk and its lock, shared by the queues on it.
pub(crate) struct Disk {
    file: OwnedFd,
    limits: Limits,
}

impl Disk {
    pub(crate) fn new(file: OwnedFd, limits: Limits) -> Self {
        Self { file, limits }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The kernel lets go of a ring's files some time after the ring is closed, and with them of the lock. The
        // next machine must not find the disk in use that long. There is nothing to do about a failure.
        let _ = lock::unlock(&self.file);
    }
}
