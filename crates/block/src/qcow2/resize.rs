// SPDX-License-Identifier: Apache-2.0
//! A larger disk in the same image.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::bytes::index;
use super::create::size_fields;
use super::header::{MAX_L1_BYTES, field};
use super::image::Image;

impl Image {
    /// Makes the disk larger. The new part reads as zero, unless a backing file reaches there: the caller sees to that.
    pub(super) fn grow(&self, size: u64) -> io::Result<()> {
        let refused = |why: &'static str| io::Error::new(io::ErrorKind::InvalidInput, why);
        if size < self.size() {
            return Err(refused("A disk can only be made larger: choose a size above the present one"));
        }
        if !size.is_multiple_of(512) || size > i64::MAX.unsigned_abs() {
            return Err(refused("Size is not a multiple of 512"));
        }
        if self.geometry.version < 3 && self.has_snapshots {
            // Its snapshots do not record the size that they had.
            return Err(refused(
                "Image of version 2 with snapshots: convert it (qemu-img amend -o compat=1.1)",
            ));
        }
        let entries = self.geometry.l1_entries(size);
        if entries * 8 > MAX_L1_BYTES {
            return Err(refused("Size is too large for clusters of this size: convert the image"));
        }
        // Whoever writes tables knows where the L1 table is, and must not learn it in between.
        let flushing = self.flushing.lock().unwrap_or_else(PoisonError::into_inner);
        self.flush_locked(&flushing)?;
        let mut metadata = self.metadata()?;
        let mut l1 = self.l1.write().unwrap_or_else(PoisonError::into_inner);
        let old = (metadata.l1_at, l1.len() as u64);
        let len = old.1.max(entries);
        let mut at = old.0;
        if self.geometry.clusters_for(len * 8) > self.geometry.clusters_for(old.1 * 8) {
            drop(l1);
            at = self.move_l1(&mut metadata, len)?;
            l1 = self.l1.write().unwrap_or_else(PoisonError::into_inner);
        }
        l1.resize_with(index(len), AtomicU64::default);
        let fields = size_fields(size, u32::try_from(len).map_err(io::Error::other)?, at);
        self.storage.write(&fields, field::SIZE)?;
        self.storage.sync()?;
        metadata.l1_at = at;
        if at != old.0 {
            metadata.unlink(self.geometry.touched(old.0, old.1 * 8));
        }
        self.size.store(size, Ordering::Release);
        Ok(())
    }

    /// Writes the L1 table, with room for `len` entries, to a place of its own.
    fn move_l1(&self, metadata: &mut super::metadata::Metadata, len: u64) -> io::Result<u64> {
        let clusters = self.geometry.clusters_for(len * 8);
        let at = self.allocate_run(metadata, clusters)?;
        self.storage.zero(at, self.geometry.start_of(clusters))?;
        let l1 = self.l1.read().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> =
            l1.iter().flat_map(|entry| entry.load(Ordering::Acquire).to_be_bytes()).collect();
        self.storage.write(&bytes, at)?;
        drop(l1);
        self.settle_counts(metadata)?;
        Ok(at)
    }
}
