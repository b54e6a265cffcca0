// SPDX-License-Identifier: Apache-2.0
//! What the driver is told about the disk: its configuration space (virtio 1.2 §5.2.4).

/// The disk cannot be written.
pub(super) const VIRTIO_BLK_F_RO: u64 = 1 << 5;

/// Bytes in a sector, whatever the medium has.
pub(super) const SECTOR: u64 = 512;

/// Length in bytes up to and including the fields of `WRITE_ZEROES`, which read as zero here.
const LEN: usize = 60;

/// Most data segments of a request: the queue holds header and status as well.
pub(super) const SEG_MAX: u32 = 254;

/// Physical block size as a power of two of logical ones: 4 KiB, so that guests align partitions to pages.
const PHYSICAL_BLOCK_EXP: u8 = 3;
/// Suggested least I/O size, in logical blocks.
const MIN_IO_SIZE: u16 = 1 << PHYSICAL_BLOCK_EXP;

/// The configuration space of a disk of `size` bytes.
pub(super) fn space(size: u64) -> [u8; LEN] {
    let mut space = [0; LEN];
    let mut put = |offset: usize, bytes: &[u8]| {
        for (place, byte) in space.iter_mut().skip(offset).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, &(size / SECTOR).to_le_bytes());
    put(12, &SEG_MAX.to_le_bytes());
    put(20, &512_u32.to_le_bytes());
    put(24, &[PHYSICAL_BLOCK_EXP]);
    put(26, &MIN_IO_SIZE.to_le_bytes());
    // One queue, as without VIRTIO_BLK_F_MQ.
    put(34, &1_u16.to_le_bytes());
    space
}
