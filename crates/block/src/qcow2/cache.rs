// SPDX-License-Identifier: Apache-2.0
//! Pieces of L2 tables in memory, and who may throw them away.
//!
//! A piece ("slice") is known by the guest clusters it describes, not by its place in the file, and there is at most one
//! of each: it is dropped only while nobody else holds it. So a queue keeps those it used last ([`Memo`]) and reads
//! entries without any lock; the shared map is asked only for others.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bytes::index;

const SHARDS: usize = 16;
/// Slices that a queue keeps. A power of two.
const KEPT: usize = 8;
/// The most bytes of slices that are kept for speed alone.
const MAX_BYTES: u64 = 16 << 20;

/// A piece of an L2 table.
pub(super) struct Slice {
    pub(super) key: u64,
    entries: Box<[AtomicU64]>,
    /// A bit for each entry whose cluster was written in part, and lies elsewhere as well (see `partial.rs`).
    partial: Box<[AtomicU64]>,
    /// Differs from the file. Changed only under the image's metadata lock.
    pub(super) dirty: AtomicBool,
    used: AtomicBool,
}

impl Slice {
    /// A slice of what the file holds.
    pub(super) fn from_bytes(key: u64, bytes: &[u8]) -> Self {
        let entries: Box<[AtomicU64]> =
            bytes.as_chunks().0.iter().map(|entry| AtomicU64::new(u64::from_be_bytes(*entry))).collect();
        let partial = (0..entries.len().div_ceil(64)).map(|_| AtomicU64::default()).collect();
        Self { key, entries, partial, dirty: AtomicBool::new(false), used: AtomicBool::new(true) }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.entries.iter().flat_map(|entry| entry.load(Ordering::Acquire).to_be_bytes()).collect()
    }

    /// An entry; 0, an unallocated one, outside.
    pub(super) fn get(&self, at: u64) -> u64 {
        self.entries.get(index(at)).map_or(0, |entry| entry.load(Ordering::Acquire))
    }

    /// Whether the cluster of an entry was written in part. Asked before the entry is read.
    pub(super) fn is_partial(&self, at: u64) -> bool {
        let word = self.partial.get(index(at / 64)).map_or(0, |word| word.load(Ordering::Acquire));
        word >> (at % 64) & 1 != 0
    }

    /// Says whether a cluster of the guest was written in part.
    pub(super) fn mark_partial(&self, cluster: u64, partial: bool) {
        let at = cluster % self.entries.len() as u64;
        let Some(word) = self.partial.get(index(at / 64)) else { return };
        if partial {
            word.fetch_or(1 << (at % 64), Ordering::Release);
        } else {
            word.fetch_and(!(1 << (at % 64)), Ordering::Release);
        }
    }

    /// Under the image's metadata lock only.
    pub(super) fn set(&self, at: u64, value: u64) {
        if let Some(entry) = self.entries.get(index(at)) {
            entry.store(value, Ordering::Release);
        }
    }
}

/// The slices that a queue used last.
#[derive(Default)]
pub(super) struct Memo {
    kept: [Option<Arc<Slice>>; KEPT],
}

impl Memo {
    pub(super) fn get(&self, key: u64) -> Option<&Arc<Slice>> {
        self.kept.get(index(key) % KEPT)?.as_ref().filter(|slice| slice.key == key)
    }

    pub(super) fn keep(&mut self, slice: Arc<Slice>) {
        if let Some(place) = self.kept.get_mut(index(slice.key) % KEPT) {
            *place = Some(slice);
        }
    }
}

#[derive(Default)]
struct Shard {
    slices: Mutex<HashMap<u64, Arc<Slice>>>,
    /// Held while a slice is read from the file and put in: another reader must not put in an older content after the
    /// slice was changed, written and thrown away.
    loading: Mutex<()>,
}

/// All slices in memory.
pub(super) struct Cache {
    shards: [Shard; SHARDS],
    limit: usize,
}

impl Cache {
    pub(super) fn new(slice_bytes: u64) -> Self {
        let limit = index(MAX_BYTES / slice_bytes / SHARDS as u64);
        Self { shards: std::array::from_fn(|_| Shard::default()), limit }
    }

    /// How many slices may be dirty before they have to be written.
    pub(super) fn max_dirty(&self) -> usize {
        self.limit * SHARDS / 4
    }

    fn shard(&self, key: u64) -> Option<&Shard> {
        self.shards.get(index(key) % SHARDS)
    }

    /// The slice if it is in memory.
    pub(super) fn get(&self, key: u64) -> Option<Arc<Slice>> {
        let slices = lock(&self.shard(key)?.slices);
        let slice = slices.get(&key)?;
        slice.used.store(true, Ordering::Relaxed);
        Some(Arc::clone(slice))
    }

    /// The slice, which `load` reads from the file if need be. `None`: there is no table.
    pub(super) fn get_or_load(
        &self,
        key: u64,
        load: impl FnOnce() -> io::Result<Option<Vec<u8>>>,
    ) -> io::Result<Option<Arc<Slice>>> {
        if let Some(slice) = self.get(key) {
            return Ok(Some(slice));
        }
        let Some(shard) = self.shard(key) else { return Ok(None) };
        let _loading = lock(&shard.loading);
        if let Some(slice) = self.get(key) {
            return Ok(Some(slice));
        }
        let Some(bytes) = load()? else { return Ok(None) };
        let slice = Arc::new(Slice::from_bytes(key, &bytes));
        let mut slices = lock(&shard.slices);
        if slices.len() >= self.limit {
            make_room(&mut slices, self.limit);
        }
        slices.insert(key, Arc::clone(&slice));
        Ok(Some(slice))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(&shard.slices).len()).sum()
    }
}

/// Throws away half of what was not used since the last time, is in the file, and is held by nobody. Those that are
/// dirty are held by the list of dirty ones.
fn make_room(slices: &mut HashMap<u64, Arc<Slice>>, limit: usize) {
    for _ in 0..2 {
        let mut surplus = slices.len().saturating_sub(limit / 2);
        slices.retain(|_, slice| {
            let free = surplus > 0
                && Arc::strong_count(slice) == 1
                && !slice.dirty.load(Ordering::Acquire)
                && !slice.used.swap(false, Ordering::Relaxed);
            surplus -= usize::from(free);
            !free
        });
        if slices.len() < limit {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_small_but_keeps_what_is_held_or_dirty() {
        let cache = Cache::new(4096);
        let load = |key| cache.get_or_load(key, || Ok(Some(vec![0; 4096]))).unwrap().unwrap();
        let held = load(0);
        load(1).dirty.store(true, Ordering::Release);
        for key in 2..3 * MAX_BYTES / 4096 {
            load(key);
        }
        assert!(cache.len() as u64 <= MAX_BYTES / 4096 + 1, "{}", cache.len());
        assert!(Arc::ptr_eq(&held, &load(0)));
        assert!(load(1).dirty.load(Ordering::Acquire));
    }

    #[test]
    fn a_memo_answers_for_its_own_keys_only() {
        let mut memo = Memo::default();
        memo.keep(Arc::new(Slice::from_bytes(9, &[1; 16])));
        assert!(memo.get(9).is_some());
        assert!(memo.get(1).is_none());
    }
}
