// SPDX-License-Identifier: Apache-2.0
//! The header: read once, every field checked (QEMU docs/interop/qcow2, "Header").

use super::bytes::{be32, be64, index, put};
use super::error::Qcow2Error;
use super::storage::Storage;

pub(super) const MAGIC: u32 = 0x5146_49fb;
/// Bytes of a version 2 header.
pub(super) const V2_LEN: usize = 72;
/// Bytes of the version 3 header that we write: with the compression type and its padding.
pub(super) const V3_LEN: usize = 112;
/// Smallest and largest cluster: 512 bytes and 2 MiB. QEMU has the same limit.
pub(super) const CLUSTER_BITS: std::ops::RangeInclusive<u32> = 9..=21;
/// The longest name of a backing file in bytes.
pub(super) const MAX_NAME: usize = 1023;
/// The largest L1 table in bytes; QEMU has the same limit.
pub(super) const MAX_L1_BYTES: u64 = 32 << 20;
/// The largest refcount table in bytes; QEMU has the same limit.
pub(super) const MAX_REFTABLE_BYTES: u64 = 8 << 20;
/// The most internal snapshots; QEMU has the same limit.
pub(super) const MAX_SNAPSHOTS: u32 = 65_536;
/// The longest piece of the first cluster that is searched for extensions.
const MAX_EXTENSIONS: u64 = 64 << 10;

/// Bits of `incompatible_features`.
pub(super) mod incompatible {
    pub const DIRTY: u64 = 1 << 0;
    pub const CORRUPT: u64 = 1 << 1;
    pub const EXTERNAL_DATA: u64 = 1 << 2;
    pub const COMPRESSION: u64 = 1 << 3;
    pub const EXTENDED_L2: u64 = 1 << 4;
}

/// Bit of `compatible_features`.
pub(super) const LAZY_REFCOUNTS: u64 = 1;

/// Types of header extensions.
pub(super) mod extension {
    pub const END: u32 = 0;
    pub const BACKING_FORMAT: u32 = 0xe279_2aca;
    pub const BITMAPS: u32 = 0x2385_2875;
}

/// Offsets of fields that are written one by one.
pub(super) mod field {
    pub const SIZE: u64 = 24;
    pub const REFCOUNT_TABLE: u64 = 48;
    pub const INCOMPATIBLE: u64 = 72;
    pub const AUTOCLEAR: u64 = 88;
}

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    Zlib,
    Zstd,
}

/// A checked header.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) version: u32,
    pub(super) backing_name: Option<Vec<u8>>,
    pub(super) backing_format: Option<Vec<u8>>,
    pub(super) cluster_bits: u32,
    pub(super) size: u64,
    pub(super) l1_size: u32,
    pub(super) l1_offset: u64,
    pub(super) reftable_offset: u64,
    pub(super) reftable_clusters: u32,
    pub(super) snapshots: u32,
    pub(super) snapshots_offset: u64,
    pub(super) incompatible: u64,
    pub(super) compatible: u64,
    pub(super) autoclear: u64,
    pub(super) refcount_order: u32,
    pub(super) compression: Compression,
    pub(super) has_bitmaps: bool,
}

impl Header {
    /// Reads and checks the header of an image.
    pub(super) fn read(storage: &Storage) -> Result<Self, Qcow2Error> {
        let mut start = [0; V3_LEN];
        storage.read(&mut start, 0).map_err(Qcow2Error::host("read"))?;
        let mut header = Self::parse(&start)?;
        header.check_tables(storage.len())?;
        let fixed = if header.version == 2 { V2_LEN } else { index(be32(&start, 100).into()) };
        let len = (1_u64 << header.cluster_bits).min(MAX_EXTENSIONS).min(storage.len());
        let mut first = vec![0; index(len)];
        storage.read(&mut first, 0).map_err(Qcow2Error::host("read"))?;
        header.read_extensions(&first, fixed)?;
        header.read_backing_name(&start, storage)?;
        Ok(header)
    }

    fn parse(start: &[u8]) -> Result<Self, Qcow2Error> {
        if be32(start, 0) != MAGIC {
            return Err(Qcow2Error::NotQcow2);
        }
        let version = be32(start, 4);
        if !(2..=3).contains(&version) {
            return Err(Qcow2Error::unsupported(format!("version {version} of the format")));
        }
        let at_least_3 = |value: u64| if version >= 3 { value } else { 0 };
        let header_len = be32(start, 100);
        if version >= 3 && (header_len < 104 || !header_len.is_multiple_of(8)) {
            return Err(Qcow2Error::corrupt(format!("header length {header_len}")));
        }
        let kind = if header_len > 104 { start.get(104).copied().unwrap_or(0) } else { 0 };
        let incompatible = at_least_3(be64(start, 72));
        let compression = check_features(incompatible, if version >= 3 { kind } else { 0 })?;
        let header = Self {
            version,
            backing_name: None,
            backing_format: None,
            cluster_bits: be32(start, 20),
            size: be64(start, 24),
            l1_size: be32(start, 36),
            l1_offset: be64(start, 40),
            reftable_offset: be64(start, 48),
            reftable_clusters: be32(start, 56),
            snapshots: be32(start, 60),
            snapshots_offset: be64(start, 64),
            incompatible,
            compatible: at_least_3(be64(start, 80)),
            autoclear: at_least_3(be64(start, 88)),
            refcount_order: if version >= 3 { be32(start, 96) } else { 4 },
            compression,
            has_bitmaps: false,
        };
        if be32(start, 32) != 0 {
            return Err(Qcow2Error::unsupported("encryption"));
        }
        if !CLUSTER_BITS.contains(&header.cluster_bits) {
            return Err(Qcow2Error::unsupported(format!("clusters of 2^{} bytes", header.cluster_bits)));
        }
        if header.refcount_order > 6 {
            return Err(Qcow2Error::corrupt(format!("refcount order {}", header.refcount_order)));
        }
        if u64::from(header_len) > 1 << header.cluster_bits && version >= 3 {
            return Err(Qcow2Error::corrupt("header is longer than a cluster"));
        }
        Ok(header)
    }

    /// Every table must be aligned, inside the file and not on the header.
    fn check_tables(&self, file_len: u64) -> Result<(), Qcow2Error> {
        let cluster = 1_u64 << self.cluster_bits;
        if self.size == 0 || !self.size.is_multiple_of(512) || self.size > i64::MAX.unsigned_abs() {
            return Err(Qcow2Error::corrupt(format!("disk of {} bytes", self.size)));
        }
        let inside = |name: &str, offset: u64, len: u64| {
            let end = offset.checked_add(len);
            let fits = end.is_some_and(|end| end <= file_len.next_multiple_of(cluster));
            if offset >= cluster && offset.is_multiple_of(cluster) && fits {
                return Ok(());
            }
            Err(Qcow2Error::corrupt(format!("{name} at {offset:#x} ({len} bytes) is no place for it")))
        };
        let l1 = u64::from(self.l1_size) * 8;
        let needed = self.size.div_ceil(cluster).div_ceil(cluster / 8);
        if u64::from(self.l1_size) < needed {
            return Err(Qcow2Error::corrupt("L1 table is too short for the disk"));
        }
        if l1 > MAX_L1_BYTES {
            return Err(Qcow2Error::unsupported("an L1 table of more than 32 MiB"));
        }
        inside("L1 table", self.l1_offset, l1)?;
        let reftable = u64::from(self.reftable_clusters) << self.cluster_bits;
        if reftable > MAX_REFTABLE_BYTES {
            return Err(Qcow2Error::unsupported("a refcount table of more than 8 MiB"));
        }
        if reftable == 0 {
            return Err(Qcow2Error::corrupt("refcount table is missing"));
        }
        inside("refcount table", self.reftable_offset, reftable)?;
        if self.l1_offset < self.reftable_offset + reftable && self.reftable_offset < self.l1_offset + l1 {
            return Err(Qcow2Error::corrupt("L1 table and refcount table overlap"));
        }
        if self.snapshots > MAX_SNAPSHOTS {
            return Err(Qcow2Error::corrupt(format!("{} snapshots", self.snapshots)));
        }
        if self.snapshots > 0 {
            inside("snapshot table", self.snapshots_offset, 40)?;
        }
        Ok(())
    }

    fn read_extensions(&mut self, first: &[u8], fixed: usize) -> Result<(), Qcow2Error> {
        let mut at = fixed;
        while at.saturating_add(8) <= first.len() {
            let (kind, len) = (be32(first, at), index(be32(first, at + 4).into()));
            let Some(data) = first.get(at + 8..).and_then(|rest| rest.get(..len)) else {
                return Err(Qcow2Error::corrupt("header extension is longer than the first cluster"));
            };
            match kind {
                extension::END => return Ok(()),
                extension::BACKING_FORMAT => self.backing_format = Some(data.to_vec()),
                extension::BITMAPS => self.has_bitmaps = true,
                _ => {}
            }
            at += 8 + len.next_multiple_of(8);
        }
        Ok(())
    }

    fn read_backing_name(&mut self, start: &[u8], storage: &Storage) -> Result<(), Qcow2Error> {
        let (offset, len) = (be64(start, 8), index(be32(start, 16).into()));
        if offset == 0 {
            return Ok(());
        }
        let fits = offset.checked_add(len as u64).is_some_and(|end| end <= 1 << self.cluster_bits);
        if len == 0 || len > MAX_NAME || !fits {
            return Err(Qcow2Error::corrupt("name of the backing file is not in the first cluster"));
        }
        let mut name = vec![0; len];
        storage.read(&mut name, offset).map_err(Qcow2Error::host("read"))?;
        self.backing_name = Some(name);
        Ok(())
    }

    /// The header as bytes, with its extensions and the name of the backing file: for a new image.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let fixed = if self.version == 2 { V2_LEN } else { V3_LEN };
        let mut bytes = vec![0; fixed];
        put(&mut bytes, 0, &MAGIC.to_be_bytes());
        put(&mut bytes, 4, &self.version.to_be_bytes());
        put(&mut bytes, 20, &self.cluster_bits.to_be_bytes());
        put(&mut bytes, 24, &self.size.to_be_bytes());
        put(&mut bytes, 36, &self.l1_size.to_be_bytes());
        put(&mut bytes, 40, &self.l1_offset.to_be_bytes());
        put(&mut bytes, 48, &self.reftable_offset.to_be_bytes());
        put(&mut bytes, 56, &self.reftable_clusters.to_be_bytes());
        put(&mut bytes, 60, &self.snapshots.to_be_bytes());
        put(&mut bytes, 64, &self.snapshots_offset.to_be_bytes());
        if self.version >= 3 {
            put(&mut bytes, 72, &self.incompatible.to_be_bytes());
            put(&mut bytes, 80, &self.compatible.to_be_bytes());
            put(&mut bytes, 88, &self.autoclear.to_be_bytes());
            put(&mut bytes, 96, &self.refcount_order.to_be_bytes());
            put(&mut bytes, 100, &(u32::try_from(fixed).unwrap_or(0)).to_be_bytes());
            put(&mut bytes, 104, &[u8::from(self.compression == Compression::Zstd)]);
        }
        if let Some(format) = &self.backing_format {
            bytes.extend(extension::BACKING_FORMAT.to_be_bytes());
            bytes.extend(u32::try_from(format.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(format);
            bytes.resize(bytes.len().next_multiple_of(8), 0);
        }
        bytes.extend([0; 8]);
        if let Some(name) = &self.backing_name {
            let (at, len) = (bytes.len() as u64, u32::try_from(name.len()).unwrap_or(0));
            bytes.extend(name);
            put(&mut bytes, 8, &at.to_be_bytes());
            put(&mut bytes, 16, &len.to_be_bytes());
        }
        bytes
    }
}

fn check_features(incompatible: u64, kind: u8) -> Result<Compression, Qcow2Error> {
    use incompatible::{COMPRESSION, CORRUPT, DIRTY, EXTENDED_L2, EXTERNAL_DATA};
    if incompatible & EXTERNAL_DATA != 0 {
        return Err(Qcow2Error::unsupported("an external data file"));
    }
    if incompatible & EXTENDED_L2 != 0 {
        return Err(Qcow2Error::unsupported("extended L2 entries (subclusters)"));
    }
    let unknown = incompatible & !(DIRTY | CORRUPT | COMPRESSION);
    if unknown != 0 {
        return Err(Qcow2Error::unsupported(format!("unknown incompatible features {unknown:#x}")));
    }
    match (incompatible & COMPRESSION != 0, kind) {
        (false, 0) => Ok(Compression::Zlib),
        (true, 1) => Ok(Compression::Zstd),
        (true, 0) | (false, _) => Err(Qcow2Error::corrupt("compression type and its feature bit differ")),
        (true, other) => Err(Qcow2Error::unsupported(format!("compression type {other}"))),
    }
}
