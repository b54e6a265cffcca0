// SPDX-License-Identifier: Apache-2.0
//! The file that holds an image: positions, never a shared cursor.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::Disk;
use crate::transfer::{Limits, lost};
use crate::{BlockError, size};

/// The largest length of a file (`off_t`).
const MAX_LEN: u64 = i64::MAX.unsigned_abs();
/// A file grows by at least so much at a time.
const GROWTH: u64 = 1 << 20;
static ZEROES: [u8; 64 << 10] = [0; 64 << 10];

/// An open image file.
pub(super) struct Storage {
    file: File,
    /// Another descriptor of the same open file, for the queues that move data; it holds the lock of the disk.
    disk: Arc<Disk>,
    /// The file's length as we know it. It only grows while the image is open.
    len: AtomicU64,
    /// From here on the file was empty when it was opened: what lies there and was not written since is zero.
    empty_from: u64,
    fixed: bool,
    on_memory: bool,
    identity: (u64, u64),
    #[cfg(test)]
    pub(super) full: std::sync::atomic::AtomicBool,
}

impl Storage {
    pub(super) fn new(descriptor: OwnedFd, read_only: bool) -> Result<Self, BlockError> {
        let host = |source| BlockError::Host { step: "look at the file", source };
        crate::file::check_flags(std::os::fd::AsFd::as_fd(&descriptor), read_only)?;
        let file = File::from(descriptor);
        let metadata = file.metadata().map_err(host)?;
        let kind = metadata.file_type();
        let (len, fixed) = if kind.is_file() {
            (metadata.len(), false)
        } else if kind.is_block_device() {
            (size::of(std::os::fd::AsFd::as_fd(&file))?, true)
        } else {
            return Err(BlockError::NotRegular);
        };
        let copy = file.try_clone().map_err(host)?;
        let on_memory = !fixed && size::is_on_memory(std::os::fd::AsFd::as_fd(&file))?;
        let mut disk = Disk::new(copy.into(), Limits { size: MAX_LEN, read_only });
        disk.is_device = fixed;
        let disk = Arc::new(disk);
        let identity = if fixed { (u64::MAX, metadata.rdev()) } else { (metadata.dev(), metadata.ino()) };
        let empty_from = if fixed { u64::MAX } else { len };
        Ok(Self {
            file,
            disk,
            len: AtomicU64::new(len),
            empty_from,
            fixed,
            on_memory,
            identity,
            #[cfg(test)]
            full: std::sync::atomic::AtomicBool::default(),
        })
    }

    pub(super) fn disk(&self) -> &Arc<Disk> {
        &self.disk
    }

    /// Whether its content lies in the host's memory.
    pub(super) fn on_memory(&self) -> bool {
        self.on_memory
    }

    pub(super) fn len(&self) -> u64 {
        self.len.load(Ordering::Acquire)
    }

    /// Tells files apart: device and inode.
    pub(super) fn identity(&self) -> (u64, u64) {
        self.identity
    }

    /// Whether a piece that was never used reads as zero.
    pub(super) fn starts_empty(&self, offset: u64) -> bool {
        offset >= self.empty_from
    }

    /// Fills the buffer. What lies past the end reads as zero.
    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let (mut rest, mut at) = (buffer, offset);
        while !rest.is_empty() {
            match self.file.read_at(rest, at) {
                Ok(0) => {
                    rest.fill(0);
                    return Ok(());
                }
                Ok(moved) => {
                    rest = rest.get_mut(moved..).unwrap_or_default();
                    at = at.saturating_add(u64::try_from(moved).unwrap_or(0));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, data: &[u8], offset: u64) -> io::Result<()> {
        #[cfg(test)]
        if self.full.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        self.file.write_all_at(data, offset)
    }

    /// Writes zeroes. Not by a hole: the next allocation would pay for it again.
    pub(super) fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        let (mut at, end) = (offset, offset.saturating_add(len));
        while at < end {
            let step = (end - at).min(u64::try_from(ZEROES.len()).unwrap_or(1));
            let piece = ZEROES.get(..super::bytes::index(step)).unwrap_or(&ZEROES);
            self.write(piece, at)?;
            at += step;
        }
        Ok(())
    }

    /// Gives the space of a piece back to the host. It is only a favour: a file system that cannot do it keeps the space.
    pub(super) fn punch(&self, offset: u64, len: u64) {
        let (Ok(offset), Ok(len)) = (libc::off_t::try_from(offset), libc::off_t::try_from(len)) else {
            return;
        };
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: takes no memory.
        unsafe { libc::fallocate(self.file.as_raw_fd(), mode, offset, len) };
    }

    /// Makes the file at least `end` long.
    pub(super) fn reach(&self, end: u64) -> io::Result<()> {
        if end <= self.len() {
            return Ok(());
        }
        #[cfg(test)]
        if self.full.load(Ordering::Relaxed) {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        if self.fixed || end > MAX_LEN - GROWTH {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let target = end.next_multiple_of(GROWTH);
        self.file.set_len(target)?;
        self.len.fetch_max(target, Ordering::AcqRel);
        Ok(())
    }

    /// Cuts off what [`Storage::reach`] made too much, when nothing is under way any more.
    pub(super) fn trim(&self, end: u64) {
        if !self.fixed && end >= self.empty_from && end < self.len() {
            // Failing leaves a longer file, which is as good.
            if self.file.set_len(end).is_ok() {
                self.len.store(end, Ordering::Release);
            }
        }
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data().map_err(lost)
    }
}
