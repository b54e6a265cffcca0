// SPDX-License-Identifier: Apache-2.0
//! Page frame numbers of a driver, as ranges.

use std::ops::Range;

use flotilla_memory::GuestMemory;

use crate::virtio::chain::{Chain, QueueError};

/// Bytes of a page as balloon drivers count them, whatever the guest's own are (virtio 1.2 §5.5.6).
pub(super) const PAGE: u64 = 4096;
/// Most frames looked at in one chain; Linux sends 256. Without a limit a chain of segments that overlap would name a
/// thousand million of them. A driver that sends more has given back less.
pub(super) const MAX_FRAMES: u32 = 1024;

/// The frames that a chain names: at most [`MAX_FRAMES`], in order, each once. How many more there are comes second.
pub(super) fn read(chain: &Chain, memory: &GuestMemory) -> Result<(Vec<u32>, u32), QueueError> {
    let named = chain.readable_len() / 4;
    let taken = named.min(MAX_FRAMES);
    let mut bytes = vec![0; usize::try_from(taken * 4).unwrap_or_default()];
    chain.read(memory, 0, &mut bytes)?;
    let (words, _) = bytes.as_chunks::<4>();
    let mut frames: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    frames.sort_unstable();
    frames.dedup();
    Ok((frames, named - taken))
}

/// Frames in order as ranges of addresses, neighbours joined: one call of the kernel for each.
pub(super) fn ranges(frames: &[u32]) -> impl Iterator<Item = Range<u64>> {
    frames.chunk_by(|one, next| one.checked_add(1) == Some(*next)).filter_map(|run| {
        let first = u64::from(*run.first()?) * PAGE;
        Some(first..first + run.len() as u64 * PAGE)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_one_range() {
        let found: Vec<_> = ranges(&[0, 1, 2, 7, 9, u32::MAX - 1, u32::MAX]).collect();
        let last = u64::from(u32::MAX - 1) * PAGE;
        assert_eq!(found, [0..3 * PAGE, 7 * PAGE..8 * PAGE, 9 * PAGE..10 * PAGE, last..last + 2 * PAGE]);
        assert_eq!(ranges(&[]).count(), 0);
    }
}
