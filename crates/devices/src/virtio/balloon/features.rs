// SPDX-License-Identifier: Apache-2.0
//! Feature bits as masks (virtio 1.2 §5.5.3) and the configuration space (§5.5.4).

/// The driver tells how the guest is off for memory.
pub(super) const VIRTIO_BALLOON_F_STATS_VQ: u64 = 1 << 1;
/// The driver lets pages out of the balloon before the guest ends programs for want of memory.
pub(super) const VIRTIO_BALLOON_F_DEFLATE_ON_OOM: u64 = 1 << 2;
/// The driver names pages that nobody uses when it is asked to.
pub(super) const VIRTIO_BALLOON_F_FREE_PAGE_HINT: u64 = 1 << 3;
/// The driver tells what is in free pages of a guest that fills them.
pub(super) const VIRTIO_BALLOON_F_PAGE_POISON: u64 = 1 << 4;
/// The driver names pages that nobody uses without being asked.
pub(super) const VIRTIO_BALLOON_F_PAGE_REPORTING: u64 = 1 << 5;

/// Bytes of the configuration space.
pub(super) const CONFIG_LEN: usize = 16;

/// The configuration space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Config {
    /// Pages the balloon shall hold.
    pub(super) num_pages: u32,
    /// Pages it holds, as the driver says.
    pub(super) actual: u32,
    /// The round of hints that the driver shall work on, or that there is none.
    pub(super) free_page_hint_cmd_id: u32,
    /// What a free page is filled with, as the driver says.
    pub(super) poison_val: u32,
}

impl Config {
    /// As the driver reads it.
    pub(super) fn bytes(self) -> [u8; CONFIG_LEN] {
        let words = [self.num_pages, self.actual, self.free_page_hint_cmd_id, self.poison_val];
        let mut bytes = [0; CONFIG_LEN];
        for (place, byte) in bytes.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
            *place = byte;
        }
        bytes
    }

    /// What it is after the driver wrote: `actual` and `poison_val` are the driver's, the rest is not.
    pub(super) fn written(self, offset: u64, data: &[u8]) -> Self {
        let mut bytes = self.bytes();
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        for (place, byte) in bytes.iter_mut().skip(from).zip(data) {
            *place = *byte;
        }
        let [.., a0, a1, a2, a3, _, _, _, _, p0, p1, p2, p3] = bytes;
        let (actual, poison_val) =
            (u32::from_le_bytes([a0, a1, a2, a3]), u32::from_le_bytes([p0, p1, p2, p3]));
        Self { actual, poison_val, ..self }
    }
}
