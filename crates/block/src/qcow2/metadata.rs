// SPDX-License-Identifier: Apache-2.0
//! Changes to the tables of an image that is written.
//!
//! All of them happen in memory first, under one short lock, after the data they speak of was written. [`Image::flush`]
//! brings them to the file in an order that a crash may cut anywhere:
//!
//! ```text
//!   data, new tables, raised counts ─▶ sync ─▶ refcount table ─▶ sync ─▶ L2 ─▶ sync ─▶ L1 ─▶ sync
//!                                             └── if it changed ──┘             └─ if changed ─┘
//!   then: clusters that nothing in the file refers to any more, and that no request can have in hand, get lower counts
//! ```
//!
//! Cut short, it leaves clusters that are counted and not referred to (a leak), never the other way round.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bytes::index;
use super::cache::Slice;
use super::error::{Qcow2Error, damaged};
use super::header::Header;
use super::image::Image;
use super::layout::{COPIED, Entry, Geometry, data_entry};
use super::refcounts::{Found, Refcounts};
use super::storage::Storage;

/// So many pieces that were given up may wait; then they are made durable.
const MAX_UNLINKED: usize = 16 << 10;
/// The same in bytes, for pieces are of any length: what waits takes space that the guest does not have.
const MAX_UNLINKED_BYTES: u64 = 256 << 20;

/// The most clusters that are set aside to be handed out one by one, in number and in bytes.
const MAX_RESERVE: u64 = 16;
const MAX_RESERVE_BYTES: u64 = 1 << 20;

/// The tables as they are in memory.
pub(super) struct Metadata {
    pub(super) refcounts: Refcounts,
    pub(super) l1_at: u64,
    l1_changed: Vec<usize>,
    dirty: Vec<Arc<Slice>>,
    /// References that are gone from memory but not from the file.
    unlinked: Vec<Range<u64>>,
    /// How many clusters these are.
    unlinked_clusters: u64,
    /// References that are gone from the file as well, with the epoch of that.
    limbo: VecDeque<(u64, Range<u64>)>,
    /// No cluster below is free.
    hint: u64,
    /// Clusters from here on were never used.
    high: u64,
    /// Counted, and handed out one by one: a search for each of them takes longer than the write. A flush gives it back.
    reserve: Option<Allocation>,
    /// The clusters of tables when the image was opened, in order: never handed out, whatever their counts say.
    tables: Vec<u64>,
}

/// Clusters of ours that nothing refers to yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allocation {
    pub(super) at: u64,
    pub(super) clusters: u64,
    /// They read as zero.
    pub(super) fresh: bool,
}

/// What a flush brings to the file.
struct Batch {
    change: u64,
    new_blocks: Vec<usize>,
    slices: Vec<(u64, Vec<u8>, Arc<Slice>)>,
    l1: Vec<usize>,
    l1_at: u64,
    unlinked: Vec<Range<u64>>,
}

impl Metadata {
    /// Reads the refcount table, and checks that no table shares a cluster with another.
    pub(super) fn load(
        geometry: Geometry,
        storage: &Storage,
        header: &Header,
        l1: &[u64],
    ) -> Result<Self, Qcow2Error> {
        let (at, clusters) = (header.reftable_offset, header.reftable_clusters);
        let refcounts = Refcounts::load(geometry, storage, at, clusters)
            .map_err(Qcow2Error::host("read the refcounts of"))?;
        let end = geometry.clusters_for(storage.len());
        let mut tables = vec![0];
        tables.extend(refcounts.table_range());
        tables.extend(refcounts.block_clusters());
        tables.extend(geometry.touched(header.l1_offset, u64::from(header.l1_size) * 8));
        if header.snapshots > 0 {
            tables.push(geometry.cluster_of(header.snapshots_offset));
        }
        for &entry in l1 {
            let table = geometry.l1(entry).map_err(Qcow2Error::host("read the L1 table of"))?;
            tables.extend(table.map(|(at, _)| geometry.cluster_of(at)));
        }
        tables.sort_unstable();
        if tables.array_windows().any(|[one, next]| one == next) {
            return Err(Qcow2Error::corrupt("two tables lie in one place"));
        }
        if tables.last().is_some_and(|&last| last >= end) {
            return Err(Qcow2Error::corrupt("a table lies outside the file"));
        }
        Ok(Self {
            refcounts,
            l1_at: header.l1_offset,
            l1_changed: Vec::new(),
            dirty: Vec::new(),
            unlinked: Vec::new(),
            unlinked_clusters: 0,
            limbo: VecDeque::new(),
            hint: 0,
            high: end,
            reserve: None,
            tables,
        })
    }

    /// Gives up references; the counts follow when the file says the same.
    pub(super) fn unlink(&mut self, clusters: Range<u64>) {
        self.unlinked_clusters += clusters.end - clusters.start;
        match self.unlinked.last_mut() {
            // Runs that were allocated together are given up together.
            Some(last) if last.end == clusters.start => last.end = clusters.end,
            _ => self.unlinked.push(clusters),
        }
    }
}

impl Image {
    /// The metadata of an image that is written. Held for moments, never while data moves.
    pub(super) fn metadata(&self) -> io::Result<MutexGuard<'_, Metadata>> {
        let metadata = self.metadata.as_ref().ok_or_else(|| io::Error::from_raw_os_error(libc::EROFS))?;
        Ok(lock(metadata))
    }

    /// Allocates up to `want` clusters that follow one another. Their counts are one.
    pub(super) fn allocate(&self, metadata: &mut Metadata, want: u64) -> io::Result<Allocation> {
        if want > 1 {
            return self.search(metadata, want);
        }
        let mut run = match metadata.reserve.take() {
            Some(reserve) => reserve,
            None => self.search_reserve(metadata)?,
        };
        let one = Allocation { clusters: 1, ..run };
        run.at += self.geometry.cluster_size();
        run.clusters -= 1;
        metadata.reserve = (run.clusters > 0).then_some(run);
        self.changed();
        Ok(one)
    }

    fn search_reserve(&self, metadata: &mut Metadata) -> io::Result<Allocation> {
        let many = (MAX_RESERVE_BYTES >> self.geometry.cluster_bits).clamp(1, MAX_RESERVE);
        match self.search(metadata, many) {
            // There may be room for one.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => self.search(metadata, 1),
            found => found,
        }
    }

    /// Gives back what was set aside to be handed out.
    fn release_reserve(&self, metadata: &mut Metadata) -> io::Result<()> {
        let Some(reserve) = metadata.reserve.take() else { return Ok(()) };
        let first = self.geometry.cluster_of(reserve.at);
        if reserve.fresh && metadata.high == first + reserve.clusters {
            metadata.high = first;
        }
        self.release(metadata, reserve)
    }

    /// Finds up to `want` clusters that follow one another, and counts them.
    fn search(&self, metadata: &mut Metadata, want: u64) -> io::Result<Allocation> {
        self.reclaim(metadata)?;
        let storage = &self.storage;
        loop {
            let tables = &metadata.tables;
            let taken = |cluster: u64| tables.binary_search(&cluster).is_ok();
            match metadata.refcounts.find(storage, metadata.hint, want.max(1), taken)? {
                Found::NoBlock(cluster) if taken(cluster) => metadata.hint = cluster + 1,
                Found::NoBlock(cluster) => {
                    metadata.refcounts.add_block(storage, cluster)?;
                    metadata.hint = cluster;
                    metadata.high = metadata.high.max(cluster + 1).max(metadata.refcounts.table_range().end);
                    self.changed();
                }
                Found::Run(first, clusters) => {
                    let at = self.geometry.start_of(first);
                    storage.reach(self.geometry.start_of(first + clusters))?;
                    for cluster in first..first + clusters {
                        metadata.refcounts.set(storage, cluster, 1)?;
                    }
                    let fresh = first >= metadata.high && storage.starts_empty(at);
                    metadata.hint = first + clusters;
                    metadata.high = metadata.high.max(first + clusters);
                    self.changed();
                    return Ok(Allocation { at, clusters, fresh });
                }
            }
        }
    }

    /// Allocates exactly `want` clusters that follow one another.
    pub(super) fn allocate_run(&self, metadata: &mut Metadata, want: u64) -> io::Result<u64> {
        let mut short = Vec::new();
        let found = loop {
            let mut run = self.search(metadata, want)?;
            // A run may continue in the next piece of the counts.
            if self.extend(metadata, &mut run, want)? {
                break run;
            }
            short.push(run);
        };
        for run in short {
            self.release(metadata, run)?;
        }
        Ok(found.at)
    }

    /// Tries to make a run `want` clusters long.
    fn extend(&self, metadata: &mut Metadata, run: &mut Allocation, want: u64) -> io::Result<bool> {
        while run.clusters < want {
            let next = self.search(metadata, want - run.clusters)?;
            if next.at != run.at + self.geometry.start_of(run.clusters) {
                self.release(metadata, next)?;
                return Ok(false);
            }
            run.clusters += next.clusters;
        }
        Ok(true)
    }

    /// Brings counts, and the blocks they are in, to the file.
    pub(super) fn settle_counts(&self, metadata: &mut Metadata) -> io::Result<()> {
        metadata.refcounts.write_pieces(&self.storage)?;
        self.storage.sync()?;
        let new_blocks = metadata.refcounts.take_new_blocks();
        if let Err(error) = metadata.refcounts.write_table(&self.storage, &new_blocks) {
            metadata.refcounts.put_back(new_blocks);
            return Err(error);
        }
        self.storage.sync()
    }

    /// Takes back what was allocated and never referred to.
    pub(super) fn release(&self, metadata: &mut Metadata, allocation: Allocation) -> io::Result<()> {
        let first = self.geometry.cluster_of(allocation.at);
        for cluster in first..first + allocation.clusters {
            metadata.refcounts.set(&self.storage, cluster, 0)?;
        }
        metadata.hint = metadata.hint.min(first);
        self.changed();
        Ok(())
    }

    /// Lowers the counts of what nobody can have in hand any more.
    fn reclaim(&self, metadata: &mut Metadata) -> io::Result<()> {
        if metadata.limbo.is_empty() {
            return Ok(());
        }
        self.grace.advance();
        let now = self.grace.advance();
        while metadata.limbo.front().is_some_and(|(epoch, _)| epoch + 2 <= now) {
            let Some((epoch, mut clusters)) = metadata.limbo.pop_front() else { break };
            if let Err(error) = self.lower(metadata, &mut clusters) {
                // Only what is left: a count that is lowered twice is too low.
                metadata.limbo.push_front((epoch, clusters));
                return Err(error);
            }
        }
        Ok(())
    }

    /// Lowers the counts of clusters; those that are done are no longer in the range.
    fn lower(&self, metadata: &mut Metadata, clusters: &mut Range<u64>) -> io::Result<()> {
        let mut free: Option<Range<u64>> = None;
        let give_back = |run: &Range<u64>| {
            let at = self.geometry.start_of(run.start);
            self.storage.punch(at, self.geometry.start_of(run.end - run.start));
        };
        while clusters.start < clusters.end {
            let cluster = clusters.start;
            let count = metadata.refcounts.get(&self.storage, cluster)?;
            // Zero: the image was damaged. It cannot get lower.
            if count > 0 {
                metadata.refcounts.set(&self.storage, cluster, count - 1)?;
            }
            clusters.start += 1;
            if count != 1 {
                continue;
            }
            metadata.hint = metadata.hint.min(cluster);
            match &mut free {
                Some(run) if run.end == cluster => run.end += 1,
                _ => {
                    free.iter().for_each(give_back);
                    free = Some(cluster..cluster + 1);
                }
            }
        }
        free.iter().for_each(give_back);
        self.changed();
        Ok(())
    }

    /// Makes sure that the L2 table of a guest cluster exists and is ours alone.
    pub(super) fn own_table(&self, metadata: &mut Metadata, cluster: u64) -> io::Result<()> {
        let old = self.geometry.l1(self.l1_entry(cluster))?;
        if let Some((_, true)) = old {
            return Ok(());
        }
        let size = self.geometry.cluster_size();
        let new = self.allocate(metadata, 1)?;
        let filled = match old {
            Some((at, _)) => {
                let mut table = vec![0; index(size)];
                let read = self.storage.read(&mut table, at);
                read.and_then(|()| self.storage.write(&table, new.at))
            }
            None if new.fresh => Ok(()),
            None => self.storage.zero(new.at, size),
        };
        if let Err(error) = filled {
            self.release(metadata, new)?;
            return Err(error);
        }
        let at = self.geometry.l1_index(cluster);
        let l1 = self.l1.read().unwrap_or_else(PoisonError::into_inner);
        l1.get(at).ok_or_else(|| damaged("L1 table is too short"))?.store(new.at | COPIED, Ordering::Release);
        metadata.l1_changed.push(at);
        if let Some((at, _)) = old {
            metadata.unlink(self.geometry.touched(at, size));
        }
        self.changed();
        Ok(())
    }

    /// Gives a guest cluster, whose table is ours, a new L2 entry. What only the old one referred to is given up.
    pub(super) fn link(&self, metadata: &mut Metadata, cluster: u64, entry: u64) -> io::Result<()> {
        let slice = self.shared_slice(cluster)?.ok_or_else(|| damaged("L2 table is missing"))?;
        let at = cluster % self.geometry.slice_entries();
        let old = self.geometry.l2(slice.get(at))?;
        slice.set(at, entry);
        let kept = place_of(self.geometry.l2(entry)?);
        match old {
            Entry::Data { .. } | Entry::Zero { .. } => {
                if let Some(at) = place_of(old).filter(|&at| kept != Some(at)) {
                    metadata.unlink(self.geometry.touched(at, 1));
                }
            }
            Entry::Compressed { at, len } => metadata.unlink(self.geometry.touched(at, len)),
            Entry::Hole => {}
        }
        if !slice.dirty.swap(true, Ordering::AcqRel) {
            metadata.dirty.push(slice);
        }
        self.changed();
        Ok(())
    }

    /// Links a cluster that was written in part, and has all of its content by now.
    pub(super) fn link_partial(&self, cluster: u64, at: u64) -> io::Result<()> {
        let mut metadata = self.metadata()?;
        self.link(&mut metadata, cluster, data_entry(at))?;
        // Only now: whoever finds it no more looks at the entry.
        self.partials.remove(cluster);
        Ok(())
    }

    /// Gives up what was written of a cluster, which has another entry now.
    pub(super) fn drop_partial(
        &self,
        metadata: &mut Metadata,
        cluster: u64,
        at: u64,
        entry: u64,
    ) -> io::Result<()> {
        self.partials.remove(cluster);
        if place_of(self.geometry.l2(entry)?) != Some(at) {
            metadata.unlink(self.geometry.touched(at, 1));
            self.changed();
        }
        Ok(())
    }

    /// Makes a cluster that may be written in place part of the file, which may have been cut short before it.
    pub(super) fn reach_cluster(&self, entry: Entry) -> io::Result<()> {
        let Entry::Data { at, .. } = entry else { return Ok(()) };
        let end = at.saturating_add(self.geometry.cluster_size());
        if end <= self.storage.len() {
            return Ok(());
        }
        let mut metadata = self.metadata()?;
        let cluster = self.geometry.cluster_of(at);
        // Else an image from somewhere could make its file as long as it likes.
        if metadata.refcounts.get(&self.storage, cluster)? == 0 {
            return Err(damaged("data past the end of the file is not counted"));
        }
        self.storage.reach(end)?;
        metadata.high = metadata.high.max(cluster + 1);
        Ok(())
    }

    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the tables in the file are those in memory, and nothing waits to get into them.
    pub(super) fn is_clean(&self) -> bool {
        // In this order: what does not wait any more has changed the tables before.
        self.partials.is_empty() && self.changes.load(Ordering::SeqCst) == self.durable.load(Ordering::SeqCst)
    }

    /// Flushes if so much waits that it should not become more.
    pub(super) fn relieve(&self) -> io::Result<()> {
        let metadata = self.metadata()?;
        let much = metadata.dirty.len() > self.cache.max_dirty()
            || metadata.unlinked.len() > MAX_UNLINKED
            || self.geometry.start_of(metadata.unlinked_clusters) > MAX_UNLINKED_BYTES;
        drop(metadata);
        if much { self.flush() } else { Ok(()) }
    }

    /// Makes data and tables durable, but for clusters that wait to be completed (`Chain::flush` does that first). After an
    /// error everything that was not written waits for the next flush.
    pub(super) fn flush(&self) -> io::Result<()> {
        let flushing = lock(&self.flushing);
        self.flush_locked(&flushing)
    }

    pub(super) fn flush_locked(&self, _flushing: &MutexGuard<'_, ()>) -> io::Result<()> {
        if self.is_clean() {
            return self.storage.sync();
        }
        let batch = self.gather()?;
        let result = self.write_batch(&batch);
        let mut metadata = self.metadata()?;
        match result {
            Ok(()) => {
                self.durable.store(batch.change, Ordering::SeqCst);
                let epoch = self.grace.now();
                metadata.limbo.extend(batch.unlinked.into_iter().map(|clusters| (epoch, clusters)));
                Ok(())
            }
            Err(error) => {
                metadata.refcounts.put_back(batch.new_blocks);
                metadata.l1_changed.extend(batch.l1);
                for clusters in batch.unlinked {
                    metadata.unlink(clusters);
                }
                for (_, _, slice) in batch.slices {
                    if !slice.dirty.swap(true, Ordering::AcqRel) {
                        metadata.dirty.push(slice);
                    }
                }
                Err(error)
            }
        }
    }

    /// What is changed up to now. The counts are written at once: they may be early.
    fn gather(&self) -> io::Result<Batch> {
        let mut metadata = self.metadata()?;
        self.release_reserve(&mut metadata)?;
        self.reclaim(&mut metadata)?;
        metadata.refcounts.write_pieces(&self.storage)?;
        let mut slices = Vec::with_capacity(metadata.dirty.len());
        for slice in &metadata.dirty {
            let place = self.slice_place(slice.key * self.geometry.slice_entries())?;
            let place = place.ok_or_else(|| damaged("L2 table is missing"))?;
            slices.push((place, slice.to_bytes(), Arc::clone(slice)));
        }
        for slice in std::mem::take(&mut metadata.dirty) {
            slice.dirty.store(false, Ordering::Release);
        }
        metadata.unlinked_clusters = 0;
        Ok(Batch {
            change: self.changes.load(Ordering::SeqCst),
            new_blocks: metadata.refcounts.take_new_blocks(),
            slices,
            l1: std::mem::take(&mut metadata.l1_changed),
            l1_at: metadata.l1_at,
            unlinked: std::mem::take(&mut metadata.unlinked),
        })
    }

    fn write_batch(&self, batch: &Batch) -> io::Result<()> {
        self.storage.sync()?;
        if !batch.new_blocks.is_empty() {
            self.metadata()?.refcounts.write_table(&self.storage, &batch.new_blocks)?;
            self.storage.sync()?;
        }
        for (place, bytes, _) in &batch.slices {
            self.storage.write(bytes, *place)?;
        }
        if !batch.l1.is_empty() {
            if !batch.slices.is_empty() {
                self.storage.sync()?;
            }
            let l1 = self.l1.read().unwrap_or_else(PoisonError::into_inner);
            for &at in &batch.l1 {
                let entry = l1.get(at).map_or(0, |entry| entry.load(Ordering::Acquire));
                self.storage.write(&entry.to_be_bytes(), batch.l1_at + at as u64 * 8)?;
            }
        }
        if batch.slices.is_empty() && batch.l1.is_empty() { Ok(()) } else { self.storage.sync() }
    }

    /// Flushes, and gives back everything that can be: nothing is under way any more.
    pub(super) fn close(&self) -> io::Result<()> {
        // The second one writes the counts that the first one made lower.
        self.flush()?;
        let mut metadata = self.metadata()?;
        self.reclaim(&mut metadata)?;
        drop(metadata);
        if !self.is_clean() {
            self.flush()?;
        }
        let end = self.geometry.start_of(self.metadata()?.high);
        self.storage.trim(end);
        Ok(())
    }
}

/// The cluster that an entry refers to, or keeps for later.
fn place_of(entry: Entry) -> Option<u64> {
    match entry {
        Entry::Data { at, .. } => Some(at),
        Entry::Zero { reserved, .. } => reserved,
        Entry::Hole | Entry::Compressed { .. } => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
