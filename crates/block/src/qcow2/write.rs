// SPDX-License-Identifier: Apache-2.0
//! What changes where clusters lie: writes that allocate, zeroes, discards.
//!
//! Each step locks its guest clusters against other changes, moves the data, and only then tells the tables. Until then
//! readers find the old content.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use flotilla_device_model::block::{Operation, Request, Segment};
use flotilla_memory::GuestMemory;

use super::bytes::index;
use super::chain::{Chain, Memos};
use super::error::damaged;
use super::guest;
use super::image::{Image, Place};
use super::layout::{Entry, data_entry, zero_entry};
use super::metadata::Allocation;
use crate::engine::direct::DirectQueue;

/// The most clusters that one step changes, so that no other waits long.
const MAX_STEP: u64 = 512;

/// What is written.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Guest { memory: &'a Arc<GuestMemory>, segments: &'a [Segment] },
    Zeroes,
}

/// How clusters become zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clearing {
    /// The content is needed no more.
    Discard,
    /// They read as zero; their space may be given back.
    Unmap,
    /// They read as zero and keep their space.
    Keep,
}

/// What one queue needs to change its image.
pub(super) struct Writer<'a> {
    pub(super) chain: &'a Chain,
    pub(super) memos: &'a mut Memos,
    /// Moves guest data to the file.
    pub(super) direct: &'a mut DirectQueue,
    /// Room for a cluster that is copied, kept so that none is allocated, and cleared, for each.
    pub(super) copy: &'a mut Vec<u8>,
}

impl Writer<'_> {
    fn image(&self) -> &Image {
        &self.chain.top
    }

    fn entry(&mut self, cluster: u64) -> io::Result<Entry> {
        let mut fallback = super::cache::Memo::default();
        self.chain.top.entry(self.memos.first_mut().unwrap_or(&mut fallback), cluster)
    }

    /// The place of a cluster, whose range is locked, that was written in part.
    fn partial(&mut self, cluster: u64) -> io::Result<Option<u64>> {
        let image = &self.chain.top;
        let mut fallback = super::cache::Memo::default();
        let slice = image.slice(self.memos.first_mut().unwrap_or(&mut fallback), cluster)?;
        let partial = slice.is_some_and(|slice| slice.is_partial(cluster % image.geometry.slice_entries()));
        Ok(if partial { image.partials.place(cluster) } else { None })
    }

    /// Writes to the start of `offset..offset + len`, where something has to be allocated. Returns how many bytes were
    /// written; zero if the place can be written as it is by now.
    pub(super) fn store(&mut self, offset: u64, len: u64, source: Source<'_>) -> io::Result<u64> {
        let geometry = self.chain.top.geometry;
        let (first, within) = (geometry.cluster_of(offset), geometry.within(offset));
        if within != 0 || len < geometry.cluster_size() {
            let len = len.min(geometry.cluster_size() - within);
            return self.store_part(first, within, len, source);
        }
        let clusters = geometry.cluster_of(len).min(MAX_STEP);
        let chain = self.chain;
        let _guard = chain.top.ranges.lock(first..first + clusters);
        let mut count = 0;
        while count < clusters
            && self.partial(first + count)?.is_none()
            && !is_writable(self.entry(first + count)?)
        {
            count += 1;
        }
        if count == 0 {
            if let Some(at) = self.partial(first)? {
                return self.store_more(first, at, 0..geometry.cluster_size(), source);
            }
            let entry = self.entry(first)?;
            return chain.top.reach_cluster(entry).map(|()| 0);
        }
        let allocation = self.allocate(first, count)?;
        let len = geometry.start_of(allocation.clusters);
        let written = self.write_new(allocation, |writer| writer.put(source, 0, len, allocation.at));
        written?;
        self.link(first, allocation)?;
        Ok(len)
    }

    fn store_part(&mut self, cluster: u64, within: u64, len: u64, source: Source<'_>) -> io::Result<u64> {
        let chain = self.chain;
        let geometry = chain.top.geometry;
        let _guard = chain.top.ranges.lock(cluster..cluster + 1);
        let part = within..within + len;
        if let Some(at) = self.partial(cluster)? {
            return self.store_more(cluster, at, part, source);
        }
        let entry = self.entry(cluster)?;
        if is_writable(entry) {
            return chain.top.reach_cluster(entry).map(|()| 0);
        }
        // What is set aside for a cluster may be written as well as a new one.
        let set_aside = matches!(entry, Entry::Zero { reserved: Some(_), .. });
        if !set_aside && chain.top.partials.has_room() {
            return self.store_first(cluster, part, source);
        }
        let mut old = std::mem::take(self.copy);
        old.resize(index(geometry.cluster_size()), 0);
        let result = self.copy_cluster((cluster, entry), &mut old, part, source);
        *self.copy = old;
        result.map(|()| len)
    }

    /// Gives a cluster a place of its own, and writes `part` there. The rest of it may wait.
    fn store_first(&mut self, cluster: u64, part: Range<u64>, source: Source<'_>) -> io::Result<u64> {
        let image = &self.chain.top;
        let len = part.end - part.start;
        let zero = self.is_zero(cluster)?;
        let allocation = self.allocate(cluster, 1)?;
        let slice = self.write_new(allocation, |writer| {
            let memo = writer.memos.first_mut().ok_or(io::ErrorKind::InvalidInput)?;
            let slice = image.slice(memo, cluster)?.map(Arc::clone);
            writer.put(source, 0, len, allocation.at + part.start)?;
            slice.ok_or_else(|| damaged("L2 table is missing"))
        })?;
        if zero && allocation.fresh {
            self.link(cluster, allocation)?;
        } else {
            image.partials.start(cluster, &slice, allocation, part);
        }
        Ok(len)
    }

    /// Writes another part of a cluster that was written in part.
    fn store_more(&mut self, cluster: u64, at: u64, part: Range<u64>, source: Source<'_>) -> io::Result<u64> {
        let chain = self.chain;
        let len = part.end - part.start;
        let written = self.put(source, 0, len, at + part.start);
        written.inspect_err(|_| chain.top.partials.spoil(cluster))?;
        if chain.top.partials.add(cluster, part) {
            chain.complete(self.memos, cluster, self.copy)?;
        }
        Ok(len)
    }

    /// Whether a whole cluster is known to be zero.
    fn is_zero(&mut self, cluster: u64) -> io::Result<bool> {
        let geometry = self.chain.top.geometry;
        let offset = geometry.start_of(cluster);
        let len = geometry.cluster_size().min(self.chain.top.size().saturating_sub(offset));
        let piece = self.chain.resolve(self.memos, offset, len)?;
        Ok(piece.extent.place == Place::Zero && piece.extent.len == len)
    }

    /// Gives a cluster a place of its own, with its old content but for `part`, which comes from the source.
    fn copy_cluster(
        &mut self,
        (cluster, entry): (u64, Entry),
        content: &mut [u8],
        part: Range<u64>,
        source: Source<'_>,
    ) -> io::Result<()> {
        let chain = self.chain;
        let zero = chain.read(self.memos, chain.top.geometry.start_of(cluster), content)?;
        let len = part.end - part.start;
        let allocation = match entry {
            // Set aside for this very purpose.
            Entry::Zero { reserved: Some(at), copied: true } => Allocation { at, clusters: 1, fresh: false },
            _ => self.allocate(cluster, 1)?,
        };
        let mut put = |writer: &mut Self| {
            if zero && allocation.fresh {
                return writer.put(source, 0, len, allocation.at + part.start);
            }
            let range = index(part.start)..index(part.end);
            let place = content.get_mut(range).ok_or(io::ErrorKind::InvalidInput)?;
            match source {
                Source::Guest { memory, segments } => {
                    guest::take(memory, &guest::cut(segments, 0, len), place)?;
                }
                Source::Zeroes => place.fill(0),
            }
            chain.top.storage.write(content, allocation.at)
        };
        if matches!(entry, Entry::Zero { reserved: Some(at), .. } if at == allocation.at) {
            put(self)?;
        } else {
            self.write_new(allocation, put)?;
        }
        self.link(cluster, allocation)
    }

    /// Allocates clusters for guest clusters, whose tables become ours.
    fn allocate(&mut self, first: u64, clusters: u64) -> io::Result<Allocation> {
        let image = self.image();
        let mut metadata = image.metadata()?;
        // As many as one table describes: then one look at it is enough.
        let entries = image.geometry.l2_entries();
        let clusters = clusters.min(entries - first % entries);
        image.own_table(&mut metadata, first)?;
        image.allocate(&mut metadata, clusters)
    }

    /// Moves data to new clusters, which are given back if that fails.
    fn write_new<T>(
        &mut self,
        allocation: Allocation,
        write: impl FnOnce(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        let result = write(self);
        if result.is_err() {
            let image = self.image();
            image.release(&mut *image.metadata()?, allocation)?;
        }
        result
    }

    fn link(&mut self, first: u64, allocation: Allocation) -> io::Result<()> {
        let image = self.image();
        let mut metadata = image.metadata()?;
        for at in 0..allocation.clusters {
            let place = allocation.at + image.geometry.start_of(at);
            image.link(&mut metadata, first + at, data_entry(place))?;
        }
        Ok(())
    }

    /// Writes `len` bytes of the source, after the first `skip`, to the file.
    fn put(&mut self, source: Source<'_>, skip: u64, len: u64, at: u64) -> io::Result<()> {
        let Source::Guest { memory, segments } = source else {
            return self.chain.top.storage.zero(at, len);
        };
        let segments = guest::cut(segments, skip, len).into();
        let operation = Operation::Write { offset: at, segments };
        let request = Request { token: 0, memory: Arc::clone(memory), operation };
        self.direct.carry_out(request).result.map(drop)
    }

    /// Makes the start of `offset..offset + len` zero. Returns how many bytes were done.
    pub(super) fn clear(&mut self, offset: u64, len: u64, how: Clearing) -> io::Result<u64> {
        let geometry = self.chain.top.geometry;
        let (first, within) = (geometry.cluster_of(offset), geometry.within(offset));
        // The last cluster of the disk counts as whole when the disk ends in it.
        let end = offset + len;
        let rounded =
            if end == self.chain.top.size() { end.next_multiple_of(geometry.cluster_size()) } else { end };
        if within != 0 || rounded - offset < geometry.cluster_size() {
            let len = len.min(geometry.cluster_size() - within);
            if how != Clearing::Discard {
                self.clear_part(offset, len)?;
            }
            return Ok(len);
        }
        let last = geometry.cluster_of(rounded).min(first + MAX_STEP);
        if !self.clear_whole(first..last, how)? {
            let len = (geometry.start_of(last) - offset).min(len);
            self.clear_part(offset, len)?;
            return Ok(len);
        }
        Ok((geometry.start_of(last) - offset).min(len))
    }

    /// Writes zeroes where something else is read.
    fn clear_part(&mut self, offset: u64, len: u64) -> io::Result<()> {
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let piece = self.chain.resolve(self.memos, at, end - at)?;
            at += match piece.extent.place {
                Place::Hole | Place::Zero => piece.extent.len,
                Place::Data { at: place, in_place: true } if piece.layer == 0 => {
                    self.image().storage.zero(place, piece.extent.len)?;
                    piece.extent.len
                }
                Place::Data { .. } | Place::Compressed { .. } => {
                    self.store(at, piece.extent.len, Source::Zeroes)?
                }
            };
        }
        Ok(())
    }

    /// Changes the entries of whole clusters. False: this version of the format cannot say it.
    fn clear_whole(&mut self, clusters: Range<u64>, how: Clearing) -> io::Result<bool> {
        let chain = self.chain;
        let image = &chain.top;
        // Where nothing shows through, an absent cluster is zero in every version.
        let shows_through = !chain.below.is_empty();
        if image.geometry.version < 3 && shows_through {
            return Ok(how == Clearing::Discard);
        }
        let _guard = image.ranges.lock(clusters.clone());
        let entries = image.geometry.l2_entries();
        let mut cluster = clusters.start;
        while cluster < clusters.end {
            let mut metadata = image.metadata()?;
            let table_end = (cluster / entries + 1).saturating_mul(entries).min(clusters.end);
            let absent = image.geometry.l1(image.l1_entry(cluster))?.is_none();
            if absent && (!shows_through || how == Clearing::Discard) {
                cluster = table_end;
                continue;
            }
            image.own_table(&mut metadata, cluster)?;
            while cluster < table_end {
                let partial = self.partial(cluster)?;
                // What was written in part is as good as data: all of it goes.
                let old = match partial {
                    Some(at) => Entry::Data { at, copied: true },
                    None => self.entry(cluster)?,
                };
                if let Some(entry) = cleared(old, how, shows_through, image.geometry.version) {
                    image.link(&mut metadata, cluster, entry)?;
                    if let Some(at) = partial {
                        image.drop_partial(&mut metadata, cluster, at, entry)?;
                    }
                }
                cluster += 1;
            }
        }
        Ok(true)
    }
}

/// The L2 entry that makes a cluster zero; `None` if nothing has to change.
fn cleared(old: Entry, how: Clearing, shows_through: bool, version: u32) -> Option<u64> {
    let empty = if shows_through { zero_entry(None) } else { 0 };
    match (old, how) {
        (Entry::Hole, Clearing::Discard)
        | (Entry::Zero { reserved: None, .. }, _)
        | (Entry::Zero { .. }, Clearing::Keep) => None,
        (Entry::Hole, Clearing::Unmap | Clearing::Keep) => shows_through.then_some(empty),
        (Entry::Data { at, copied: true }, Clearing::Keep) if version >= 3 => Some(zero_entry(Some(at))),
        _ => Some(empty),
    }
}

/// Whether the guest may write there as it is.
fn is_writable(entry: Entry) -> bool {
    matches!(entry, Entry::Data { copied: true, .. })
}
