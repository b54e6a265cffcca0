// SPDX-License-Identifier: Apache-2.0
//! One image of a chain: what its queues share, and where the bytes of its disk lie.

use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::bytes::{be64, index};
use super::cache::{Cache, Memo, Slice};
use super::compressed::Decompressor;
use super::error::{Qcow2Error, damaged};
use super::grace::Grace;
use super::header::{Compression, Header, field, incompatible};
use super::layout::{Entry, Geometry};
use super::metadata::Metadata;
use super::partial::{Part, Partials};
use super::ranges::RangeLock;
use super::rebuild;
use super::storage::Storage;

/// An open image.
pub(super) struct Image {
    pub(super) storage: Storage,
    pub(super) geometry: Geometry,
    pub(super) compression: Compression,
    pub(super) backing_name: Option<Vec<u8>>,
    pub(super) backing_format: Option<Vec<u8>>,
    pub(super) has_snapshots: bool,
    pub(super) size: AtomicU64,
    /// Entries of the active L1 table. Changed under the metadata lock only.
    pub(super) l1: RwLock<Vec<AtomicU64>>,
    pub(super) cache: Cache,
    /// Clusters whose place the tables do not know yet.
    pub(super) partials: Partials,
    /// `None`: the image is only read.
    pub(super) metadata: Option<Mutex<Metadata>>,
    /// Taken before `metadata` by whoever writes tables to the file.
    pub(super) flushing: Mutex<()>,
    /// Counts changes of the tables, and how many of them are durable.
    pub(super) changes: AtomicU64,
    pub(super) durable: AtomicU64,
    pub(super) ranges: RangeLock,
    pub(super) grace: Grace,
    pub(super) decompressor: Decompressor,
    /// Tables of fixed length, where no data may lie.
    protected: [Range<u64>; 3],
}

/// Where a piece of the disk lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// In the backing file, or it is zero if there is none.
    Hole,
    Zero,
    /// In the file at this offset, and whether it may be written there.
    Data {
        at: u64,
        in_place: bool,
    },
    /// In the file, compressed: offset and the most bytes of it. It is one cluster of the disk.
    Compressed {
        at: u64,
        len: u64,
    },
}

/// A piece of the disk that lies in one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    pub(super) place: Place,
    pub(super) len: u64,
}

impl Image {
    pub(super) fn open(descriptor: OwnedFd, read_only: bool) -> Result<Self, Qcow2Error> {
        let storage = Storage::new(descriptor, read_only)?;
        let mut header = Header::read(&storage)?;
        if !read_only {
            prepare(&storage, &mut header)?;
        }
        let geometry = Geometry::of(&header);
        let l1 = read_l1(&storage, header.l1_offset, header.l1_size)?;
        let metadata = if read_only {
            None
        } else {
            Some(Mutex::new(Metadata::load(geometry, &storage, &header, &l1)?))
        };
        let l1_len = u64::from(header.l1_size) * 8;
        let reftable_len = u64::from(header.reftable_clusters) << header.cluster_bits;
        // The snapshot table has entries of any length: its first cluster stands for it.
        let snapshots_len = if header.snapshots > 0 { geometry.cluster_size() } else { 0 };
        let range = |at: u64, len: u64| at..at.saturating_add(len);
        Ok(Self {
            geometry,
            compression: header.compression,
            has_snapshots: header.snapshots > 0,
            size: AtomicU64::new(header.size),
            l1: RwLock::new(l1.into_iter().map(AtomicU64::new).collect()),
            cache: Cache::new(geometry.slice_bytes()),
            partials: Partials::new(geometry.cluster_size()),
            metadata,
            flushing: Mutex::default(),
            changes: AtomicU64::default(),
            durable: AtomicU64::default(),
            ranges: RangeLock::default(),
            grace: Grace::default(),
            decompressor: Decompressor::default(),
            protected: [
                range(header.l1_offset, l1_len),
                range(header.reftable_offset, reftable_len),
                range(header.snapshots_offset, snapshots_len),
            ],
            backing_name: header.backing_name,
            backing_format: header.backing_format,
            storage,
        })
    }

    pub(super) fn size(&self) -> u64 {
        self.size.load(Ordering::Acquire)
    }

    /// Where the bytes from `offset` on lie, as far as they lie in one place, but not much more than `max`.
    pub(super) fn map(&self, memo: &mut Memo, offset: u64, max: u64) -> io::Result<Extent> {
        let geometry = &self.geometry;
        let (cluster, within) = (geometry.cluster_of(offset), geometry.within(offset));
        let mut at = cluster % geometry.slice_entries();
        let Some(slice) = self.slice(memo, cluster)? else {
            let entries = geometry.l2_entries();
            let len = geometry.start_of(entries - cluster % entries) - within;
            return Ok(Extent { place: Place::Hole, len: len.min(max) });
        };
        let mut max = max;
        if slice.is_partial(at) {
            match self.partials.look(cluster, within) {
                Some(Part::New { at, len }) => {
                    return Ok(Extent { place: Place::Data { at, in_place: true }, len: len.min(max) });
                }
                Some(Part::Old { len }) => max = max.min(len),
                // It is complete, or was given up: the entry says where it is by now.
                None => {}
            }
        }
        let first = geometry.l2(slice.get(at))?;
        let (mut len, mut end) = (geometry.cluster_size() - within, geometry.cluster_size());
        while len < max {
            at += 1;
            // Damage further on is for the request that asks for it.
            if at >= geometry.slice_entries() || slice.is_partial(at) {
                break;
            }
            let next = geometry.l2(slice.get(at));
            if !next.is_ok_and(|next| follows(first, next, end)) {
                break;
            }
            len += geometry.cluster_size();
            end += geometry.cluster_size();
        }
        let len = len.min(max);
        match first {
            Entry::Hole => Ok(Extent { place: Place::Hole, len }),
            Entry::Zero { .. } => Ok(Extent { place: Place::Zero, len }),
            Entry::Compressed { at, len: packed } => {
                Ok(Extent { place: Place::Compressed { at, len: packed }, len })
            }
            Entry::Data { at, copied } => self.data(at + within, copied, len),
        }
    }

    fn data(&self, at: u64, copied: bool, len: u64) -> io::Result<Extent> {
        let end = at + len;
        if self.protected.iter().any(|table| at < table.end && table.start < end) {
            return Err(damaged("data lies on a table"));
        }
        let file_end = self.storage.len();
        if at >= file_end {
            // As QEMU has it: an image that was cut short ends in zeroes.
            return Ok(Extent { place: Place::Zero, len });
        }
        let place = Place::Data { at, in_place: copied && self.metadata.is_some() };
        Ok(Extent { place, len: len.min(file_end - at) })
    }

    /// The L2 entry of a guest cluster. It does not speak of what was written in part.
    pub(super) fn entry(&self, memo: &mut Memo, cluster: u64) -> io::Result<Entry> {
        let at = cluster % self.geometry.slice_entries();
        self.slice(memo, cluster)?.map_or(Ok(Entry::Hole), |slice| self.geometry.l2(slice.get(at)))
    }

    /// The piece of the L2 table that describes a guest cluster. `None`: there is no table.
    pub(super) fn slice<'a>(&self, memo: &'a mut Memo, cluster: u64) -> io::Result<Option<&'a Arc<Slice>>> {
        let key = cluster / self.geometry.slice_entries();
        if memo.get(key).is_none() {
            let Some(slice) = self.shared_slice(cluster)? else { return Ok(None) };
            memo.keep(slice);
        }
        Ok(memo.get(key))
    }

    pub(super) fn shared_slice(&self, cluster: u64) -> io::Result<Option<Arc<Slice>>> {
        let key = cluster / self.geometry.slice_entries();
        self.cache.get_or_load(key, || {
            let Some(place) = self.slice_place(cluster)? else { return Ok(None) };
            let mut bytes = vec![0; index(self.geometry.slice_bytes())];
            self.storage.read(&mut bytes, place)?;
            Ok(Some(bytes))
        })
    }

    /// Where the piece of the L2 table lies in the file.
    pub(super) fn slice_place(&self, cluster: u64) -> io::Result<Option<u64>> {
        let Some((table, _)) = self.geometry.l1(self.l1_entry(cluster))? else { return Ok(None) };
        let end = table + self.geometry.cluster_size();
        let on_table = self.protected.iter().any(|range| table < range.end && range.start < end);
        if end > self.storage.len().next_multiple_of(self.geometry.cluster_size()) || on_table {
            return Err(damaged("L2 table lies outside the image or on another table"));
        }
        let piece = cluster % self.geometry.l2_entries() / self.geometry.slice_entries();
        Ok(Some(table + piece * self.geometry.slice_bytes()))
    }

    pub(super) fn l1_entry(&self, cluster: u64) -> u64 {
        let l1 = self.l1.read().unwrap_or_else(PoisonError::into_inner);
        l1.get(self.geometry.l1_index(cluster)).map_or(0, |entry| entry.load(Ordering::Acquire))
    }

    /// The content of a compressed cluster.
    pub(super) fn decompress(&self, at: u64, len: u64) -> io::Result<Arc<[u8]>> {
        let size = self.geometry.cluster_size();
        self.decompressor.cluster(&self.storage, self.compression, (at, len), size)
    }
}

/// Whether an entry goes on where a run of `len` bytes that starts with `first` ends.
fn follows(first: Entry, next: Entry, len: u64) -> bool {
    match (first, next) {
        (Entry::Hole, Entry::Hole) | (Entry::Zero { .. }, Entry::Zero { .. }) => true,
        (Entry::Data { at, copied }, Entry::Data { at: next, copied: too }) => {
            at + len == next && copied == too
        }
        _ => false,
    }
}

/// What must be done before an image may be written.
fn prepare(storage: &Storage, header: &mut Header) -> Result<(), Qcow2Error> {
    if header.incompatible & incompatible::CORRUPT != 0 {
        return Err(Qcow2Error::corrupt("it is marked as corrupt and can only be read"));
    }
    if header.incompatible & incompatible::DIRTY != 0 {
        rebuild::rebuild(storage, header)?;
    }
    if header.autoclear != 0 {
        // What these bits vouch for does not survive our writes.
        storage.write(&[0; 8], field::AUTOCLEAR).map_err(Qcow2Error::host("write the header of"))?;
        storage.sync().map_err(Qcow2Error::host("write the header of"))?;
        header.autoclear = 0;
    }
    Ok(())
}

pub(super) fn read_l1(storage: &Storage, at: u64, entries: u32) -> Result<Vec<u64>, Qcow2Error> {
    let mut bytes = vec![0; index(u64::from(entries) * 8)];
    storage.read(&mut bytes, at).map_err(Qcow2Error::host("read the L1 table of"))?;
    Ok((0..bytes.len() / 8).map(|entry| be64(&bytes, entry * 8)).collect())
}
