// SPDX-License-Identifier: Apache-2.0
//! New images.

use std::os::fd::OwnedFd;

use super::bytes::{index, put};
use super::error::Qcow2Error;
use super::header::{
    CLUSTER_BITS, Compression, Header, LAZY_REFCOUNTS, MAX_L1_BYTES, MAX_NAME, incompatible,
};
use super::layout::Geometry;
use super::rebuild::room_for;
use super::refcounts::{set_count, table_bytes};
use super::storage::Storage;

/// What a new image is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qcow2Create {
    /// Size of the disk in bytes, a multiple of 512.
    pub size: u64,
    /// Bytes in a cluster: a power of two from 512 to 2 MiB.
    pub cluster_size: u64,
    /// Width of a reference count in bits: a power of two from 1 to 64. Version 2 has 16.
    pub refcount_bits: u32,
    /// Version of the format: 2 (`compat=0.10`) or 3 (`compat=1.1`).
    pub version: u32,
    /// Allow others to write reference counts late. We never do.
    pub lazy_refcounts: bool,
    /// Others compress clusters by zstd instead of zlib.
    pub zstd: bool,
    /// The backing file as the image records it: name and format (`raw`, `qcow2`).
    pub backing: Option<(String, String)>,
}

impl Qcow2Create {
    /// The usual image: version 3, clusters of 64 KiB, 16-bit counts.
    pub fn new(size: u64) -> Self {
        Self {
            size,
            cluster_size: 64 << 10,
            refcount_bits: 16,
            version: 3,
            lazy_refcounts: false,
            zstd: false,
            backing: None,
        }
    }

    /// Writes the image to a file, whose content is lost.
    pub fn write(&self, file: impl Into<OwnedFd>) -> Result<(), Qcow2Error> {
        let mut header = self.header()?;
        let geometry = Geometry::of(&header);
        let l1 = geometry.clusters_for(u64::from(header.l1_size) * 8);
        let (blocks, table) = room_for(geometry, 1 + l1);
        // header, refcount table, refcount blocks, L1 table
        header.reftable_offset = geometry.cluster_size();
        header.reftable_clusters = u32::try_from(table).map_err(|_| too_large())?;
        header.l1_offset = geometry.start_of(1 + table + blocks);
        let start = header.to_bytes();
        if start.len() as u64 > geometry.cluster_size() {
            let what = "Name of the backing file does not fit into a cluster: take larger clusters";
            return Err(Qcow2Error::Option { what: what.to_owned() });
        }
        let used = 1 + table + blocks + l1;
        let file: OwnedFd = file.into();
        fill(&header, geometry, (table, blocks, used), &start, file)
    }

    fn header(&self) -> Result<Header, Qcow2Error> {
        let option = |what: &str| Qcow2Error::Option { what: what.to_owned() };
        let cluster_bits = self.cluster_size.trailing_zeros();
        if !self.cluster_size.is_power_of_two() || !CLUSTER_BITS.contains(&cluster_bits) {
            return Err(option("Cluster size is no power of two from 512 to 2097152"));
        }
        if !self.refcount_bits.is_power_of_two() || self.refcount_bits > 64 {
            return Err(option("Refcount width is no power of two from 1 to 64"));
        }
        if !(2..=3).contains(&self.version) {
            return Err(option("Version of the format is neither 2 nor 3"));
        }
        if self.version == 2 && (self.refcount_bits != 16 || self.lazy_refcounts || self.zstd) {
            return Err(option(
                "Version 2 has 16-bit refcounts, none of them lazy, and no zstd: take version 3",
            ));
        }
        if self.size == 0 || !self.size.is_multiple_of(512) || self.size > i64::MAX.unsigned_abs() {
            return Err(option("Size is not a positive multiple of 512"));
        }
        if self.backing.as_ref().is_some_and(|(name, _)| name.is_empty() || name.len() > MAX_NAME) {
            return Err(option("Name of the backing file is not 1 to 1023 bytes long"));
        }
        let mut header = Header {
            version: self.version,
            backing_name: self.backing.as_ref().map(|(name, _)| name.clone().into_bytes()),
            backing_format: self.backing.as_ref().map(|(_, format)| format.clone().into_bytes()),
            cluster_bits,
            size: self.size,
            l1_size: 0,
            l1_offset: 0,
            reftable_offset: 0,
            reftable_clusters: 0,
            snapshots: 0,
            snapshots_offset: 0,
            incompatible: if self.zstd { incompatible::COMPRESSION } else { 0 },
            compatible: if self.lazy_refcounts { LAZY_REFCOUNTS } else { 0 },
            autoclear: 0,
            refcount_order: self.refcount_bits.trailing_zeros(),
            compression: if self.zstd { Compression::Zstd } else { Compression::Zlib },
            has_bitmaps: false,
        };
        let entries = Geometry::of(&header).l1_entries(self.size);
        if entries * 8 > MAX_L1_BYTES {
            return Err(too_large());
        }
        header.l1_size = u32::try_from(entries).map_err(|_| too_large())?;
        Ok(header)
    }
}

/// Writes an empty image.
fn fill(
    header: &Header,
    geometry: Geometry,
    (table, blocks, used): (u64, u64, u64),
    start: &[u8],
    file: OwnedFd,
) -> Result<(), Qcow2Error> {
    let host = Qcow2Error::host;
    let file = std::fs::File::from(file);
    if file.metadata().map_err(host("look at"))?.is_file() {
        file.set_len(0).map_err(host("empty"))?;
    }
    let storage = Storage::new(file.into(), false)?;
    storage.reach(geometry.start_of(used)).map_err(host("extend"))?;
    let mut counts = vec![0; index(geometry.start_of(blocks))];
    for cluster in 0..used {
        set_count(&mut counts, geometry.refcount_order, cluster, 1);
    }
    let mut entries: Vec<u64> = (0..blocks).map(|block| geometry.start_of(1 + table + block)).collect();
    entries.resize(index(geometry.start_of(table) / 8), 0);
    if !storage.starts_empty(0) {
        storage.zero(0, geometry.start_of(used)).map_err(host("write"))?;
    }
    storage.write(&table_bytes(&entries), header.reftable_offset).map_err(host("write"))?;
    storage.write(&counts, geometry.start_of(1 + table)).map_err(host("write"))?;
    storage.sync().map_err(host("write"))?;
    // Last: without it the file is no image.
    storage.write(start, 0).map_err(host("write"))?;
    storage.trim(geometry.start_of(used));
    storage.sync().map_err(host("write"))
}

fn too_large() -> Qcow2Error {
    Qcow2Error::Option {
        what: "Size is too large for clusters of this size: take larger clusters".to_owned(),
    }
}

/// The fields of the header that a new size changes, which lie next to one another: size, encryption (none), L1 table.
pub(super) fn size_fields(size: u64, l1_entries: u32, l1_at: u64) -> [u8; 24] {
    let mut fields = [0; 24];
    put(&mut fields, 0, &size.to_be_bytes());
    put(&mut fields, 12, &l1_entries.to_be_bytes());
    put(&mut fields, 16, &l1_at.to_be_bytes());
    fields
}
