// SPDX-License-Identifier: Apache-2.0
//! How often each host cluster is referred to.
//!
//! A count may be too high in the file, never too low: then a crash leaks clusters and corrupts none. So counts are
//! raised in the file before anything refers to the cluster, and lowered after the last reference is gone from it.

use std::collections::HashMap;
use std::io;

use super::bytes::{be64, index, put};
use super::error::damaged;
use super::header::{MAX_REFTABLE_BYTES, field};
use super::layout::Geometry;
use super::storage::Storage;

/// The most pieces of refcount blocks in memory: 4 MiB of them.
const MAX_PIECES: usize = 1024;
/// Bits 9 to 63 of an entry of the refcount table.
const OFFSET: u64 = !0x1ff;
/// L1 and L2 entries can name no larger offset.
const MAX_OFFSET: u64 = 1 << 56;

struct Piece {
    bytes: Vec<u8>,
    dirty: bool,
}

/// The refcount table and pieces of its blocks.
pub(super) struct Refcounts {
    geometry: Geometry,
    table: Vec<u64>,
    table_at: u64,
    /// Entries of the table that the file does not have yet.
    changed: Vec<usize>,
    pieces: HashMap<u64, Piece>,
}

/// What an allocation found.
pub(super) enum Found {
    /// Free clusters: the first, and how many follow one another.
    Run(u64, u64),
    /// The block that would count this cluster is missing.
    NoBlock(u64),
}

impl Refcounts {
    /// Reads and checks the table: it names only clusters inside the file.
    pub(super) fn load(geometry: Geometry, storage: &Storage, at: u64, clusters: u32) -> io::Result<Self> {
        let mut bytes = vec![0; index(u64::from(clusters) << geometry.cluster_bits)];
        storage.read(&mut bytes, at)?;
        let table: Vec<u64> = (0..bytes.len() / 8).map(|entry| be64(&bytes, entry * 8)).collect();
        for &entry in &table {
            let end = entry.checked_add(geometry.cluster_size());
            let fits = end.is_some_and(|end| end <= storage.len().next_multiple_of(geometry.cluster_size()));
            if entry != 0 && (geometry.within(entry) != 0 || !fits) {
                return Err(damaged("refcount block lies outside the image"));
            }
        }
        Ok(Self::new(geometry, table, at))
    }

    pub(super) fn new(geometry: Geometry, table: Vec<u64>, table_at: u64) -> Self {
        Self { geometry, table, table_at, changed: Vec::new(), pieces: HashMap::new() }
    }

    /// The clusters of the table.
    pub(super) fn table_range(&self) -> std::ops::Range<u64> {
        self.geometry.touched(self.table_at, self.table.len() as u64 * 8)
    }

    /// The clusters of the blocks.
    pub(super) fn block_clusters(&self) -> impl Iterator<Item = u64> {
        let blocks = self.table.iter().filter(|&&entry| entry & OFFSET != 0);
        blocks.map(|&entry| self.geometry.cluster_of(entry & OFFSET))
    }

    fn block(&self, cluster: u64) -> Option<u64> {
        let entry = self.table.get(index(cluster / self.geometry.refcounts_per_block()))?;
        Some(entry & OFFSET).filter(|&at| at != 0)
    }

    /// Where the piece that counts this cluster lies in the file.
    fn place(&self, cluster: u64) -> Option<u64> {
        let in_block = cluster % self.geometry.refcounts_per_block();
        let piece = in_block / self.geometry.refcounts_per_slice();
        Some(self.block(cluster)? + piece * self.geometry.slice_bytes())
    }

    fn piece(&mut self, storage: &Storage, cluster: u64) -> io::Result<Option<&mut Piece>> {
        let Some(place) = self.place(cluster) else { return Ok(None) };
        let key = cluster / self.geometry.refcounts_per_slice();
        if !self.pieces.contains_key(&key) {
            if self.pieces.len() >= MAX_PIECES {
                // Written at any time: what is raised in it may be raised early.
                self.write_pieces(storage)?;
                self.pieces.clear();
            }
            let mut bytes = vec![0; index(self.geometry.slice_bytes())];
            storage.read(&mut bytes, place)?;
            self.pieces.insert(key, Piece { bytes, dirty: false });
        }
        Ok(self.pieces.get_mut(&key))
    }

    pub(super) fn get(&mut self, storage: &Storage, cluster: u64) -> io::Result<u64> {
        let (order, at) = self.position(cluster);
        Ok(self.piece(storage, cluster)?.map_or(0, |piece| count(&piece.bytes, order, at)))
    }

    /// Sets a count whose block exists.
    pub(super) fn set(&mut self, storage: &Storage, cluster: u64, value: u64) -> io::Result<()> {
        let (order, at) = self.position(cluster);
        let piece = self.piece(storage, cluster)?.ok_or_else(|| damaged("refcount block is missing"))?;
        set_count(&mut piece.bytes, order, at, value);
        piece.dirty = true;
        Ok(())
    }

    fn position(&self, cluster: u64) -> (u32, u64) {
        (self.geometry.refcount_order, cluster % self.geometry.refcounts_per_slice())
    }

    /// The first free clusters from `from` on, at most `want`, none of them one that `taken` knows.
    pub(super) fn find(
        &mut self,
        storage: &Storage,
        from: u64,
        want: u64,
        taken: impl Fn(u64) -> bool,
    ) -> io::Result<Found> {
        let (geometry, mut cluster) = (self.geometry, from);
        loop {
            if geometry.start_of(cluster.saturating_add(want)) >= MAX_OFFSET {
                return Err(io::Error::from_raw_os_error(libc::ENOSPC));
            }
            if self.block(cluster).is_none() {
                return Ok(Found::NoBlock(cluster));
            }
            let (order, first) = self.position(cluster);
            let per_slice = geometry.refcounts_per_slice();
            let Some(piece) = self.piece(storage, cluster)? else { return Ok(Found::NoBlock(cluster)) };
            let free = |at: &u64| count(&piece.bytes, order, *at) == 0 && !taken(cluster - first + *at);
            if let Some(start) = (first..per_slice).find(free) {
                let end = (start..per_slice.min(start + want)).find(|at| !free(at));
                let end = end.unwrap_or(per_slice.min(start + want));
                return Ok(Found::Run(cluster - first + start, end - start));
            }
            cluster += per_slice - first;
        }
    }

    /// Makes the block that counts `cluster` out of this very cluster, which must be free.
    pub(super) fn add_block(&mut self, storage: &Storage, cluster: u64) -> io::Result<()> {
        let entry = index(cluster / self.geometry.refcounts_per_block());
        if entry >= self.table.len() {
            return self.grow(storage, entry);
        }
        let at = self.geometry.start_of(cluster);
        storage.reach(at + self.geometry.cluster_size())?;
        if !storage.starts_empty(at) {
            storage.zero(at, self.geometry.cluster_size())?;
        }
        if let Some(place) = self.table.get_mut(entry) {
            *place = at;
        }
        self.changed.push(entry);
        self.set(storage, cluster, 1)
    }

    /// Moves the table to where it has room for `entry`: behind everything that the old one counts.
    fn grow(&mut self, storage: &Storage, entry: usize) -> io::Result<()> {
        let geometry = self.geometry;
        let per_block = geometry.refcounts_per_block();
        let first = (self.table.len() as u64) * per_block;
        let entries = (entry as u64 + 1).max(self.table.len() as u64 * 3 / 2 + 1);
        let mut table_clusters = geometry.clusters_for(entries * 8);
        let mut blocks = 1;
        while blocks * per_block < blocks + table_clusters {
            blocks += 1;
            // The new blocks need entries as well.
            table_clusters =
                table_clusters.max(geometry.clusters_for((self.table.len() as u64 + blocks) * 8));
        }
        let bytes = geometry.start_of(table_clusters);
        if bytes > MAX_REFTABLE_BYTES || geometry.start_of(first + blocks + table_clusters) >= MAX_OFFSET {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let (old_at, old_len) = (self.table_at, self.table.len() as u64 * 8);
        let mut table = self.table.clone();
        table.extend((0..blocks).map(|block| geometry.start_of(first + block)));
        table.resize(index(bytes / 8), 0);
        let table_at = geometry.start_of(first + blocks);
        storage.reach(table_at + bytes)?;
        storage.zero(geometry.start_of(first), geometry.start_of(blocks))?;
        let mut grown = Self::new(geometry, table, table_at);
        for cluster in first..first + blocks + table_clusters {
            grown.set(storage, cluster, 1)?;
        }
        grown.write_pieces(storage)?;
        self.write_pieces(storage)?;
        storage.write(&table_bytes(&grown.table), table_at)?;
        storage.sync()?;
        storage.write(&table_field(table_at, table_clusters), field::REFCOUNT_TABLE)?;
        storage.sync()?;
        grown.pieces.extend(self.pieces.drain());
        *self = grown;
        for cluster in geometry.touched(old_at, old_len) {
            self.set(storage, cluster, 0)?;
        }
        Ok(())
    }

    /// Writes counts. This may be done at any time.
    pub(super) fn write_pieces(&mut self, storage: &Storage) -> io::Result<()> {
        let dirty: Vec<u64> =
            self.pieces.iter().filter(|(_, piece)| piece.dirty).map(|(&key, _)| key).collect();
        for key in dirty {
            let Some(place) = self.place(key * self.geometry.refcounts_per_slice()) else { continue };
            if let Some(piece) = self.pieces.get_mut(&key) {
                storage.write(&piece.bytes, place)?;
                piece.dirty = false;
            }
        }
        Ok(())
    }

    /// The entries of the table that the file does not have yet; the caller sees to them.
    pub(super) fn take_new_blocks(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.changed)
    }

    /// The caller could not see to them.
    pub(super) fn put_back(&mut self, entries: Vec<usize>) {
        self.changed.extend(entries);
    }

    /// Names new blocks in the table of the file. Their content must be durable by now.
    pub(super) fn write_table(&self, storage: &Storage, entries: &[usize]) -> io::Result<()> {
        for &entry in entries {
            let value = self.table.get(entry).copied().unwrap_or(0);
            storage.write(&value.to_be_bytes(), self.table_at + entry as u64 * 8)?;
        }
        Ok(())
    }
}

/// The table as it lies in the file.
pub(super) fn table_bytes(table: &[u64]) -> Vec<u8> {
    table.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}

/// The fields of the header that name the table, which lie next to one another.
pub(super) fn table_field(at: u64, clusters: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    put(&mut bytes, 0, &at.to_be_bytes());
    put(&mut bytes, 8, &u32::try_from(clusters).unwrap_or(0).to_be_bytes());
    bytes
}

/// A count in a block. Widths below a byte fill it from its low bits.
pub(super) fn count(bytes: &[u8], order: u32, at: u64) -> u64 {
    let bits = 1_u64 << order;
    if bits < 8 {
        let byte = bytes.get(index(at * bits / 8)).copied().unwrap_or(0);
        return u64::from(byte) >> (at * bits % 8) & ((1 << bits) - 1);
    }
    let width = index(bits / 8);
    let field = bytes.get(index(at) * width..).and_then(|rest| rest.get(..width)).unwrap_or_default();
    field.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
}

/// See [`count`].
pub(super) fn set_count(bytes: &mut [u8], order: u32, at: u64, value: u64) {
    let bits = 1_u64 << order;
    if bits < 8 {
        if let Some(byte) = bytes.get_mut(index(at * bits / 8)) {
            let (shift, mask) = (at * bits % 8, (1_u8 << bits) - 1);
            let value = u8::try_from(value & u64::from(mask)).unwrap_or(mask);
            *byte = *byte & !(mask << shift) | value << shift;
        }
        return;
    }
    let width = index(bits / 8);
    let value = value.to_be_bytes();
    put(bytes, index(at) * width, value.get(8 - width..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_every_width_keep_out_of_each_others_bits() {
        for order in 0..=6 {
            let max = if order == 6 { u64::MAX } else { (1 << (1 << order)) - 1 };
            let mut bytes = vec![0; 64];
            for at in (0..8).step_by(2) {
                set_count(&mut bytes, order, at, max);
            }
            let counts: Vec<u64> = (0..8).map(|at| count(&bytes, order, at)).collect();
            assert_eq!(counts, [max, 0, max, 0, max, 0, max, 0], "{order}");
            set_count(&mut bytes, order, 2, 0);
            assert_eq!((count(&bytes, order, 0), count(&bytes, order, 2)), (max, 0), "{order}");
        }
        let mut bytes = [0; 4];
        set_count(&mut bytes, 4, 1, 0x0102);
        assert_eq!(bytes, [0, 0, 1, 2]);
        set_count(&mut bytes, 0, 0, 1);
        assert_eq!(bytes, [1, 0, 1, 2]);
    }
}
