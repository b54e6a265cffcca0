// SPDX-License-Identifier: Apache-2.0
//! What the driver is told about the disk: features and configuration space (virtio 1.2 §5.2.3, §5.2.4).

use crate::virtio::queue::RING_FEATURES;

const VIRTIO_BLK_F_SEG_MAX: u64 = 1 << 2;
/// The disk cannot be written.
pub(super) const VIRTIO_BLK_F_RO: u64 = 1 << 5;
const VIRTIO_BLK_F_BLK_SIZE: u64 = 1 << 6;
/// The driver can ask for durability.
pub(super) const VIRTIO_BLK_F_FLUSH: u64 = 1 << 9;
const VIRTIO_BLK_F_TOPOLOGY: u64 = 1 << 10;
/// The driver can choose whether writes are cached.
const VIRTIO_BLK_F_CONFIG_WCE: u64 = 1 << 11;
/// There are several queues.
const VIRTIO_BLK_F_MQ: u64 = 1 << 12;
/// The driver can give space back.
const VIRTIO_BLK_F_DISCARD: u64 = 1 << 13;
/// The driver can write zeroes without sending them.
const VIRTIO_BLK_F_WRITE_ZEROES: u64 = 1 << 14;

/// Bytes in a sector, whatever the medium has.
pub(super) const SECTOR: u64 = 512;

/// Length in bytes up to and including the fields of `WRITE_ZEROES`.
const LEN: usize = 60;
/// Offset of `writeback`, the one field that a driver writes.
pub(super) const WRITEBACK: u64 = 32;

/// Most data segments of a request: the queue holds header and status as well.
pub(super) const SEG_MAX: u32 = 254;

/// Most ranges of a discard or of a request to write zeroes.
pub(super) const MAX_RANGES: u32 = 16;
/// Most sectors of such a range: 128 MiB, so that no request takes its thread for long.
pub(super) const MAX_RANGE_SECTORS: u32 = 1 << 18;

/// Suggested least I/O: a page, so that guests align partitions to pages.
const PAGE: u32 = 4096;

/// What a disk is, for its driver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) read_only: bool,
    pub(super) can_discard: bool,
    pub(super) block_size: u32,
    pub(super) queues: u16,
}

impl Facts {
    pub(super) fn features(self) -> u64 {
        let mut features = RING_FEATURES
            | VIRTIO_BLK_F_SEG_MAX
            | VIRTIO_BLK_F_BLK_SIZE
            | VIRTIO_BLK_F_FLUSH
            | VIRTIO_BLK_F_TOPOLOGY
            | VIRTIO_BLK_F_CONFIG_WCE;
        if self.read_only {
            features |= VIRTIO_BLK_F_RO;
        }
        if self.can_discard && !self.read_only {
            features |= VIRTIO_BLK_F_DISCARD | VIRTIO_BLK_F_WRITE_ZEROES;
        }
        if self.queues > 1 {
            features |= VIRTIO_BLK_F_MQ;
        }
        features
    }

    /// The configuration space of a disk of `size` bytes.
    pub(super) fn space(self, size: u64, write_cache: bool) -> [u8; LEN] {
        let mut space = [0; LEN];
        let mut put = |offset: usize, bytes: &[u8]| {
            for (place, byte) in space.iter_mut().skip(offset).zip(bytes) {
                *place = *byte;
            }
        };
        // Physical blocks of a page; a logical block is never larger.
        let blocks_per_page = (PAGE / self.block_size.max(1)).max(1);
        put(0, &(size / SECTOR).to_le_bytes());
        put(12, &SEG_MAX.to_le_bytes());
        put(20, &self.block_size.to_le_bytes());
        put(24, &[u8::try_from(blocks_per_page.ilog2()).unwrap_or(0)]);
        put(26, &u16::try_from(blocks_per_page).unwrap_or(1).to_le_bytes());
        put(32, &[u8::from(write_cache)]);
        put(34, &self.queues.to_le_bytes());
        if self.can_discard && !self.read_only {
            let alignment = self.block_size / 512;
            put(36, &MAX_RANGE_SECTORS.to_le_bytes());
            put(40, &MAX_RANGES.to_le_bytes());
            put(44, &alignment.to_le_bytes());
            put(48, &MAX_RANGE_SECTORS.to_le_bytes());
            put(52, &MAX_RANGES.to_le_bytes());
            put(56, &[1]);
        }
        space
    }
}
