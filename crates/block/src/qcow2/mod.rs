// SPDX-License-Identifier: Apache-2.0
//! qcow2 images (QEMU docs/interop/qcow2), versions 2 and 3, with backing files.
//!
//! ```text
//!   Qcow2Queue (one for each device queue) ── looks places up, without a lock where it looked before
//!      │                                       moves data through raw queues on the files
//!      ▼
//!   Chain = Image (written) + layers below (read)
//!      Image:  L1, cache of L2 pieces   ── read by all queues
//!              Metadata (one lock)      ── counts, allocation, what waits to be written, in which order
//! ```
//!
//! The image and its backing files come as descriptors that the caller opened and locked. Names in the images are
//! compared with what the caller expects and never opened. Internal snapshots stay as they are.

mod bytes;
mod cache;
mod chain;
mod compressed;
mod create;
mod error;
mod events;
mod grace;
mod guest;
mod header;
mod image;
mod layout;
mod metadata;
mod partial;
mod queue;
mod ranges;
mod rebuild;
mod refcounts;
mod resize;
mod storage;
#[cfg(test)]
mod tests;
mod write;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use flotilla_device_model::block::{BlockBackend, BlockQueue};

pub use chain::{BackingFile, BackingFormat, MAX_BACKING, RecordedName};
pub use create::Qcow2Create;
pub use error::Qcow2Error;

use crate::EngineChoice;
use chain::Chain;
use queue::Qcow2Queue;
use storage::Storage;
use write::Clearing;

/// How to open an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Qcow2Options {
    /// Refuse writes, whatever the descriptor allows.
    pub read_only: bool,
    /// Which engine moves data.
    pub engine: EngineChoice,
}

/// A qcow2 disk.
///
/// ```
/// # use flotilla_block::{Qcow2, Qcow2Create, Qcow2Options};
/// # use flotilla_device_model::block::BlockBackend;
/// let file = tempfile::tempfile()?;
/// Qcow2Create::new(1 << 30).write(file.try_clone()?)?;
/// let disk = Qcow2::open(file, &[], Qcow2Options::default())?;
/// assert_eq!(disk.size(), 1 << 30);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Qcow2 {
    chain: Arc<Chain>,
    engine: EngineChoice,
    in_memory: bool,
}

impl Qcow2 {
    /// Opens an image, with its backing files from the nearest to the farthest. The owner of the descriptors has locked
    /// them, the first one exclusively unless it is only read; the locks are given back when the disk and its last
    /// queue are dropped.
    pub fn open(
        image: impl Into<OwnedFd>,
        backing: &[BackingFile],
        options: Qcow2Options,
    ) -> Result<Self, Qcow2Error> {
        let chain = Chain::open(image.into(), backing, options.read_only)?;
        // Whoever names an engine gets threads with it.
        let in_memory = options.engine == EngineChoice::Automatic && chain.on_memory();
        Ok(Self { chain: Arc::new(chain), engine: options.engine, in_memory })
    }

    /// Makes these bytes zero. `unmap`: their space may be given back.
    pub fn write_zeroes(&self, offset: u64, len: u64, unmap: bool) -> io::Result<()> {
        queue::clear(&self.chain, offset, len, if unmap { Clearing::Unmap } else { Clearing::Keep })
    }

    /// Gives the space of these bytes back; their content is undefined afterwards.
    pub fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        queue::clear(&self.chain, offset, len, Clearing::Discard)
    }

    /// Makes the disk larger. The new part reads as zero.
    pub fn grow(&self, size: u64) -> io::Result<()> {
        let old = self.chain.top.size();
        self.chain.top.grow(size)?;
        // A backing file that reached further than the disk must not show through.
        let below = self.chain.below.first().map_or(0, chain::Layer::size).min(size);
        if below > old { self.write_zeroes(old, below - old, true) } else { Ok(()) }
    }

    /// Lets the file system of the image be full.
    #[cfg(test)]
    fn refuse_growth(&self, full: bool) {
        self.chain.top.storage.full.store(full, std::sync::atomic::Ordering::Relaxed);
    }

    /// Reads from the disk on the calling thread. What lies past its end is zero.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let visit = self.chain.top.grace.enter();
        let result = self.chain.read(&mut self.chain.memos(), offset, buffer);
        self.chain.top.grace.leave(visit);
        result.map(drop)
    }

    /// Makes everything written so far durable, on the calling thread.
    pub fn flush(&self) -> io::Result<()> {
        if self.read_only() { Ok(()) } else { self.chain.flush() }
    }
}

impl BlockBackend for Qcow2 {
    fn size(&self) -> u64 {
        self.chain.top.size()
    }

    fn read_only(&self) -> bool {
        self.chain.top.metadata.is_none()
    }

    fn grow(&self, size: u64) -> io::Result<()> {
        Self::grow(self, size)
    }

    fn can_discard(&self) -> bool {
        true
    }

    fn in_memory(&self) -> bool {
        self.in_memory
    }

    fn open_queue(&self, depth: u16) -> io::Result<Box<dyn BlockQueue>> {
        Ok(Box::new(Qcow2Queue::new(Arc::clone(&self.chain), depth, self.engine)?))
    }
}

/// What the header of an image says, for whoever only wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qcow2Info {
    /// Size of the disk in bytes.
    pub size: u64,
    /// The name of its backing file, as recorded.
    pub backing: Option<String>,
    /// The format of its backing file, as recorded.
    pub backing_format: Option<String>,
}

/// Reads the header of an image. Everything that would keep it from being opened for reading is an error.
pub fn inspect(image: impl Into<OwnedFd>) -> Result<Qcow2Info, Qcow2Error> {
    let storage = Storage::new(image.into(), true)?;
    storage.disk().keep_lock();
    let header = header::Header::read(&storage)?;
    let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Ok(Qcow2Info {
        size: header.size,
        backing: text(header.backing_name),
        backing_format: text(header.backing_format),
    })
}
