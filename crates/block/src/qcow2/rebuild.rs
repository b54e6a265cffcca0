// SPDX-License-Identifier: Apache-2.0
//! Refcounts of an image that was not closed: with lazy refcounts they are wrong then, and are counted anew.
//!
//! The new table and blocks go behind everything else, and one write to the header puts them in force and takes the
//! dirty bit away: a crash before leaves the image as it was.

use std::io;

use super::bytes::{be16, be32, be64, index, put};
use super::error::{Qcow2Error, damaged};
use super::header::{Header, MAX_L1_BYTES, MAX_REFTABLE_BYTES, field, incompatible};
use super::image::read_l1;
use super::layout::{COPIED, Entry, Geometry};
use super::refcounts::{set_count, table_bytes, table_field};
use super::storage::Storage;

/// The most clusters that are counted: 128 MiB of memory, 2 TiB of image with usual clusters.
const MAX_CLUSTERS: u64 = 32 << 20;
/// The most bytes of tables that are read: an image could let a thousand snapshots name one table.
const MAX_READ: u64 = 4 << 30;

struct Count<'a> {
    storage: &'a Storage,
    geometry: Geometry,
    counts: Vec<u32>,
    budget: u64,
}

/// Counts all references, writes the counts, and updates the header in the file and in memory.
pub(super) fn rebuild(storage: &Storage, header: &mut Header) -> Result<(), Qcow2Error> {
    if header.has_bitmaps {
        return Err(by_hand("with bitmaps"));
    }
    let geometry = Geometry::of(header);
    let clusters = geometry.clusters_for(storage.len());
    if clusters > MAX_CLUSTERS {
        return Err(by_hand("of this size"));
    }
    tracing::warn!("image was not closed: its refcounts are counted anew");
    let mut count = Count { storage, geometry, counts: vec![0; index(clusters)], budget: MAX_READ };
    count.all(header).map_err(Qcow2Error::host("count the clusters of"))?;
    count.settle(header).map_err(Qcow2Error::host("mend the refcounts of"))
}

fn by_hand(what: &str) -> Qcow2Error {
    Qcow2Error::corrupt(format!(
        "it was not closed, and one {what} must be mended by qemu-img check -r leaks"
    ))
}

impl Count<'_> {
    fn add(&mut self, at: u64, len: u64) -> io::Result<()> {
        for cluster in self.geometry.touched(at, len) {
            let count = self.counts.get_mut(index(cluster));
            let count = count.ok_or_else(|| damaged("a cluster lies outside the file"))?;
            *count = count.saturating_add(1);
        }
        Ok(())
    }

    fn spend(&mut self, bytes: u64) -> io::Result<()> {
        let rest = self.budget.checked_sub(bytes);
        self.budget = rest.ok_or_else(|| damaged("its tables are too large to be counted"))?;
        Ok(())
    }

    fn read(&mut self, at: u64, len: u64) -> io::Result<Vec<u8>> {
        self.spend(len)?;
        let mut bytes = vec![0; index(len)];
        self.storage.read(&mut bytes, at)?;
        Ok(bytes)
    }

    fn all(&mut self, header: &Header) -> io::Result<()> {
        self.add(0, 1)?;
        self.tree(header.l1_offset, header.l1_size)?;
        if header.snapshots > 0 {
            self.snapshots(header)?;
        }
        Ok(())
    }

    fn snapshots(&mut self, header: &Header) -> io::Result<()> {
        let mut at = header.snapshots_offset;
        for _ in 0..header.snapshots {
            let entry = self.read(at, 40)?;
            let names = u64::from(be16(&entry, 12)) + u64::from(be16(&entry, 14));
            let len = 40 + u64::from(be32(&entry, 36)) + names;
            self.tree(be64(&entry, 0), be32(&entry, 8))?;
            at = at.checked_add(len.next_multiple_of(8)).ok_or_else(|| damaged("snapshot table"))?;
        }
        self.add(header.snapshots_offset, at - header.snapshots_offset)
    }

    /// An L1 table and everything it refers to.
    fn tree(&mut self, at: u64, entries: u32) -> io::Result<()> {
        let len = u64::from(entries) * 8;
        if len > MAX_L1_BYTES || self.geometry.within(at) != 0 {
            return Err(damaged("L1 table of a snapshot"));
        }
        if entries == 0 {
            return Ok(());
        }
        self.add(at, len)?;
        for entry in self.read(at, len)?.as_chunks::<8>().0 {
            let Some((table, _)) = self.geometry.l1(u64::from_be_bytes(*entry))? else { continue };
            self.add(table, self.geometry.cluster_size())?;
            for entry in self.read(table, self.geometry.cluster_size())?.as_chunks::<8>().0 {
                match self.geometry.l2(u64::from_be_bytes(*entry))? {
                    Entry::Data { at, .. } | Entry::Zero { reserved: Some(at), .. } => self.add(at, 1)?,
                    Entry::Compressed { at, len } => self.add_compressed(at, len)?,
                    Entry::Hole | Entry::Zero { reserved: None, .. } => {}
                }
            }
        }
        Ok(())
    }

    /// The last sector of a compressed cluster may reach past the end of the file.
    fn add_compressed(&mut self, at: u64, len: u64) -> io::Result<()> {
        let end = self.geometry.start_of(self.counts.len() as u64);
        if at >= end {
            return Err(damaged("a cluster lies outside the file"));
        }
        self.add(at, len.min(end - at))
    }

    fn settle(mut self, header: &mut Header) -> io::Result<()> {
        let geometry = self.geometry;
        let first = self.counts.len() as u64;
        let (blocks, table) = room_for(geometry, first);
        if geometry.start_of(table) > MAX_REFTABLE_BYTES {
            return Err(damaged("the file is too large for its clusters"));
        }
        self.counts.resize(index(first + blocks + table), 1);
        let max = if geometry.refcount_order >= 5 {
            u64::from(u32::MAX)
        } else {
            (1 << (1 << geometry.refcount_order)) - 1
        };
        if self.counts.iter().any(|&count| u64::from(count) > max) {
            return Err(damaged("a cluster is referred to more often than can be counted"));
        }
        self.mend_flags(header)?;
        let table_at = geometry.start_of(first + blocks);
        self.storage.reach(table_at + geometry.start_of(table))?;
        let mut entries = Vec::new();
        for (block, counts) in self.counts.chunks(index(geometry.refcounts_per_block())).enumerate() {
            let mut bytes = vec![0; index(geometry.cluster_size())];
            for (at, &count) in counts.iter().enumerate() {
                set_count(&mut bytes, geometry.refcount_order, at as u64, count.into());
            }
            let at = geometry.start_of(first + block as u64);
            self.storage.write(&bytes, at)?;
            entries.push(at);
        }
        entries.resize(index(geometry.start_of(table) / 8), 0);
        self.storage.write(&table_bytes(&entries), table_at)?;
        self.storage.sync()?;
        self.put_in_force(header, table_at, table)
    }

    /// Table and dirty bit lie in one sector of the header: they change at once.
    fn put_in_force(&self, header: &mut Header, table_at: u64, clusters: u64) -> io::Result<()> {
        let mut fields = [0; 32];
        self.storage.read(&mut fields, field::REFCOUNT_TABLE)?;
        put(&mut fields, 0, &table_field(table_at, clusters));
        header.incompatible &= !incompatible::DIRTY;
        put(
            &mut fields,
            index(field::INCOMPATIBLE - field::REFCOUNT_TABLE),
            &header.incompatible.to_be_bytes(),
        );
        self.storage.write(&fields, field::REFCOUNT_TABLE)?;
        self.storage.sync()?;
        header.reftable_offset = table_at;
        header.reftable_clusters = u32::try_from(clusters).map_err(io::Error::other)?;
        Ok(())
    }

    /// Takes the copied flag from what is referred to more than once.
    fn mend_flags(&self, header: &Header) -> io::Result<()> {
        let geometry = self.geometry;
        let once = |at: u64| self.counts.get(index(geometry.cluster_of(at))).is_some_and(|&count| count == 1);
        let l1 = read_l1(self.storage, header.l1_offset, header.l1_size).map_err(io::Error::other)?;
        for (index_of, entry) in l1.into_iter().enumerate() {
            let Some((table, copied)) = geometry.l1(entry)? else { continue };
            if copied && !once(table) {
                let place = header.l1_offset + index_of as u64 * 8;
                self.storage.write(&(entry & !COPIED).to_be_bytes(), place)?;
            }
            let mut bytes = vec![0; index(geometry.cluster_size())];
            self.storage.read(&mut bytes, table)?;
            for (at, entry) in bytes.as_chunks::<8>().0.iter().enumerate() {
                let entry = u64::from_be_bytes(*entry);
                let (Entry::Data { at: cluster, copied: true }
                | Entry::Zero { reserved: Some(cluster), copied: true }) = geometry.l2(entry)?
                else {
                    continue;
                };
                if !once(cluster) {
                    self.storage.write(&(entry & !COPIED).to_be_bytes(), table + at as u64 * 8)?;
                }
            }
        }
        Ok(())
    }
}

/// Clusters of refcount blocks and of the table that count `used` clusters and themselves.
pub(super) fn room_for(geometry: Geometry, used: u64) -> (u64, u64) {
    let (mut blocks, mut table) = (1, 1);
    loop {
        let needed = (used + blocks + table).div_ceil(geometry.refcounts_per_block());
        let entries = geometry.clusters_for(needed * 8);
        if needed <= blocks && entries <= table {
            return (blocks, table);
        }
        blocks = blocks.max(needed);
        table = table.max(entries);
    }
}
