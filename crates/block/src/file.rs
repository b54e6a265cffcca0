// SPDX-License-Identifier: Apache-2.0
//! Raw disks: the bytes of a file or block device, one to one.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use flotilla_device_model::block::{BlockBackend, BlockQueue};

use crate::disk::Disk;
use crate::engine::direct::DirectQueue;
use crate::engine::uring::UringQueue;
use crate::transfer::Limits;
use crate::{BlockError, alignment, size};

/// Which engine to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineChoice {
    /// System calls for what lies in the host's memory, else `io_uring` where the host allows it.
    #[default]
    Automatic,
    /// `io_uring`, or none.
    IoUring,
    /// System calls.
    Direct,
}

/// The engine in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineKind {
    /// `io_uring`.
    IoUring,
    /// preadv, pwritev, fdatasync.
    Direct,
}

/// How to open a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawOptions {
    /// Refuse writes, whatever the descriptor allows.
    pub read_only: bool,
    /// Which engine to use.
    pub engine: EngineChoice,
    /// Pass the host's page cache by.
    pub direct: bool,
}

/// A raw disk.
///
/// ```
/// # let file = tempfile::tempfile()?;
/// # file.set_len(4096)?;
/// use flotilla_block::{LockKind, RawFile, RawOptions, lock};
/// lock(&file, LockKind::Exclusive)?;
/// let disk = RawFile::open_descriptor(file, RawOptions::default())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RawFile {
    disk: Arc<Disk>,
    engine: EngineKind,
    in_memory: bool,
}

impl RawFile {
    /// Makes a disk of an open file or block device. The size is taken now; it must be a multiple of 512.
    ///
    /// The disk takes over the descriptor and the lock on its open file: when the disk and its last queue are
    /// dropped, the lock is given back, even if the open file has other descriptors.
    pub fn open_descriptor(file: impl Into<OwnedFd>, options: RawOptions) -> Result<Self, BlockError> {
        let file = file.into();
        let size = size::of(file.as_fd())?;
        check_flags(file.as_fd(), options.read_only)?;
        let is_device = size::is_device(file.as_fd())?;
        let alignment = options.direct.then(|| alignment::go_direct(file.as_fd())).transpose()?;
        let on_memory = !is_device && size::is_on_memory(file.as_fd())?;
        let mut disk =
            Disk::new(file, Limits { size, read_only: options.read_only }).with_alignment(alignment);
        disk.is_device = is_device;
        Self::over(Arc::new(disk), options.engine, on_memory)
    }

    /// A raw disk whose limits somebody else has set. `on_memory`: its file lies in the host's memory.
    pub(crate) fn over(disk: Arc<Disk>, choice: EngineChoice, on_memory: bool) -> Result<Self, BlockError> {
        let engine = match choice {
            EngineChoice::Direct => EngineKind::Direct,
            // A ring would hand each request to a thread of the kernel: such file systems never say "not now".
            EngineChoice::Automatic if on_memory => EngineKind::Direct,
            EngineChoice::Automatic => probe(&disk),
            EngineChoice::IoUring => {
                UringQueue::new(Arc::clone(&disk), 1).map_err(BlockError::Engine)?;
                EngineKind::IoUring
            }
        };
        // Whoever names an engine gets threads with it.
        let in_memory = on_memory && choice == EngineChoice::Automatic;
        Ok(Self { disk, engine, in_memory })
    }

    /// The engine that queues use. A queue falls back to system calls by itself if its ring is refused later.
    pub fn engine(&self) -> EngineKind {
        self.engine
    }
}

impl BlockBackend for RawFile {
    fn size(&self) -> u64 {
        self.disk.limits().size
    }

    fn read_only(&self) -> bool {
        self.disk.limits().read_only
    }

    fn refresh_size(&self) -> io::Result<u64> {
        self.disk.refresh_size()
    }

    fn can_discard(&self) -> bool {
        true
    }

    fn block_size(&self) -> u32 {
        self.disk.alignment().map_or(512, |alignment| alignment.offset)
    }

    fn in_memory(&self) -> bool {
        self.in_memory
    }

    fn open_queue(&self, depth: u16) -> io::Result<Box<dyn BlockQueue>> {
        if self.engine == EngineKind::IoUring {
            match UringQueue::new(Arc::clone(&self.disk), depth) {
                Ok(queue) => return Ok(Box::new(queue)),
                Err(error) => {
                    tracing::warn!(%error, depth, "ring refused: this disk queue uses system calls");
                }
            }
        }
        Ok(Box::new(DirectQueue::new(Arc::clone(&self.disk), depth)))
    }
}

/// Tries the smallest ring, as [`crate::try_ring`] does, with the disk itself.
fn probe(disk: &Arc<Disk>) -> EngineKind {
    match UringQueue::new(Arc::clone(disk), 1) {
        Ok(_) => EngineKind::IoUring,
        Err(error) => {
            tracing::info!(%error, "host refuses io_uring: disks use slower system calls");
            EngineKind::Direct
        }
    }
}

pub(crate) fn check_flags(file: BorrowedFd<'_>, read_only: bool) -> Result<(), BlockError> {
    // SAFETY: F_GETFL takes no memory.
    let flags = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) };
    if flags < 0 {
        return Err(BlockError::Host { step: "read the flags", source: io::Error::last_os_error() });
    }
    // Appending would ignore the offset of a write and destroy the image.
    if flags & libc::O_APPEND != 0 {
        return Err(BlockError::Flag { flag: "O_APPEND" });
    }
    // Whoever wants direct I/O says so in the options: it has demands of its own.
    if flags & libc::O_DIRECT != 0 {
        return Err(BlockError::Flag { flag: "O_DIRECT" });
    }
    match (flags & libc::O_ACCMODE, read_only) {
        (libc::O_RDWR, _) | (libc::O_RDONLY, true) => Ok(()),
        (libc::O_RDONLY, false) => Err(BlockError::Access { found: "read-only", wanted: "for writing" }),
        _ => Err(BlockError::Access { found: "write-only", wanted: "for reading" }),
    }
}
