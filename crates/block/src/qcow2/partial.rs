// SPDX-License-Identifier: Apache-2.0
//! Guest clusters that were written in part.
//!
//! The first write to a cluster whose content lies elsewhere (in a backing file, compressed, shared with a snapshot) gives
//! it a place in the file, and only what is written goes there. What else belongs there is copied when the disk is
//! flushed, if the guest has not written it by then: a cluster that is written bit by bit is never copied.
//!
//! Until then the tables, in memory and in the file, know nothing of the place: a crash leaves it counted and not referred
//! to. A bit in the slice of the L2 table says that there is something to ask for here, so that others ask no lock.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bytes::index;
use super::cache::Slice;
use super::metadata::Allocation;

/// The most clusters that wait to be copied, in number and in bytes: a flush copies all of them.
const MAX_CLUSTERS: usize = 1024;
const MAX_BYTES: u64 = 64 << 20;
/// The most pieces of a cluster that are told apart.
const MAX_PIECES: usize = 32;

/// What was written of a cluster.
#[derive(Clone)]
pub(super) struct Partial {
    /// Its place in the file, which nothing refers to.
    pub(super) at: u64,
    /// What was not written there is zero.
    pub(super) fresh: bool,
    /// Bytes of the cluster, in order, with gaps between them.
    written: Vec<Range<u64>>,
    /// Held, for it carries the bit.
    slice: Arc<Slice>,
}

impl Partial {
    /// What was not written.
    pub(super) fn gaps(&self, cluster_size: u64) -> Vec<Range<u64>> {
        let starts = std::iter::once(0).chain(self.written.iter().map(|piece| piece.end));
        let ends = self.written.iter().map(|piece| piece.start).chain([cluster_size]);
        starts.zip(ends).map(|(start, end)| start..end).filter(|gap| !gap.is_empty()).collect()
    }

    fn add(&mut self, piece: Range<u64>) {
        let first = self.written.partition_point(|other| other.end < piece.start);
        let last = self.written.partition_point(|other| other.start <= piece.end);
        let touched = self.written.get(first..last).unwrap_or_default();
        let start = touched.first().map_or(piece.start, |other| other.start.min(piece.start));
        let end = touched.last().map_or(piece.end, |other| other.end.max(piece.end));
        self.written.splice(first..last, std::iter::once(start..end));
    }
}

/// What lies at a position of a cluster that was written in part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Written: where it is in the file, and how far that goes.
    New { at: u64, len: u64 },
    /// Not written, so far: what the tables say holds.
    Old { len: u64 },
}

/// All clusters that were written in part. They are added, changed and removed by whoever has locked their range.
pub(super) struct Partials {
    clusters: Mutex<BTreeMap<u64, Partial>>,
    cluster_size: u64,
    limit: usize,
}

impl Partials {
    pub(super) fn new(cluster_size: u64) -> Self {
        let limit = MAX_CLUSTERS.min(index(MAX_BYTES / cluster_size));
        Self { clusters: Mutex::default(), cluster_size, limit }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Partial>> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether one more may wait.
    pub(super) fn has_room(&self) -> bool {
        self.lock().len() < self.limit
    }

    /// The first of them, at most so many, in order.
    pub(super) fn first(&self, clusters: usize) -> Vec<u64> {
        self.lock().keys().copied().take(clusters).collect()
    }

    pub(super) fn get(&self, cluster: u64) -> Option<Partial> {
        self.lock().get(&cluster).cloned()
    }

    /// Its place in the file.
    pub(super) fn place(&self, cluster: u64) -> Option<u64> {
        self.lock().get(&cluster).map(|partial| partial.at)
    }

    /// What lies at this position of a cluster. `None`: all of it is where the tables say.
    pub(super) fn look(&self, cluster: u64, within: u64) -> Option<Part> {
        let clusters = self.lock();
        let partial = clusters.get(&cluster)?;
        let next = partial.written.iter().find(|piece| piece.end > within);
        Some(match next {
            Some(piece) if piece.start <= within => {
                Part::New { at: partial.at + within, len: piece.end - within }
            }
            Some(piece) => Part::Old { len: piece.start - within },
            None => Part::Old { len: self.cluster_size.saturating_sub(within) },
        })
    }

    /// The first piece of a cluster was written to a place of its own.
    pub(super) fn start(&self, cluster: u64, slice: &Arc<Slice>, place: Allocation, piece: Range<u64>) {
        let partial =
            Partial { at: place.at, fresh: place.fresh, written: vec![piece], slice: Arc::clone(slice) };
        self.lock().insert(cluster, partial);
        // After that, so that who sees the bit finds what it speaks of, or that it is over.
        slice.mark_partial(cluster, true);
    }

    /// Another piece was written. Returns whether it is time to complete the cluster.
    pub(super) fn add(&self, cluster: u64, piece: Range<u64>) -> bool {
        let mut clusters = self.lock();
        let Some(partial) = clusters.get_mut(&cluster) else { return false };
        partial.add(piece);
        let whole = partial.written.first() == Some(&(0..self.cluster_size));
        whole || partial.written.len() >= MAX_PIECES
    }

    /// A write failed somewhere in the middle: what was not written is not zero any more.
    pub(super) fn spoil(&self, cluster: u64) {
        if let Some(partial) = self.lock().get_mut(&cluster) {
            partial.fresh = false;
        }
    }

    /// The tables know about the cluster now, or it was given up.
    pub(super) fn remove(&self, cluster: u64) {
        if let Some(partial) = self.lock().remove(&cluster) {
            partial.slice.mark_partial(cluster, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partials() -> Partials {
        let partials = Partials::new(1024);
        let slice = Arc::new(Slice::from_bytes(0, &[0; 1024]));
        partials.start(3, &slice, Allocation { at: 8192, clusters: 1, fresh: true }, 100..200);
        partials
    }

    #[test]
    fn pieces_that_touch_become_one() {
        let partials = partials();
        let written = |piece| {
            partials.add(3, piece);
            partials.get(3).unwrap().written
        };
        assert_eq!(written(300..400), [100..200, 300..400]);
        assert_eq!(written(0..50), [0..50, 100..200, 300..400]);
        assert_eq!(written(200..250), [0..50, 100..250, 300..400]);
        assert_eq!(written(120..130), [0..50, 100..250, 300..400]);
        assert_eq!(written(240..310), [0..50, 100..400]);
        assert_eq!(partials.get(3).unwrap().gaps(1024), [50..100, 400..1024]);
        assert_eq!(written(40..1000).first(), Some(&(0..1000)));
        assert!(partials.add(3, 1000..1024));
        assert_eq!(partials.get(3).unwrap().gaps(1024), []);
    }

    #[test]
    fn tells_what_was_written_from_what_was_not() {
        let partials = partials();
        partials.add(3, 300..400);
        assert_eq!(partials.look(3, 0), Some(Part::Old { len: 100 }));
        assert_eq!(partials.look(3, 150), Some(Part::New { at: 8342, len: 50 }));
        assert_eq!(partials.look(3, 200), Some(Part::Old { len: 100 }));
        assert_eq!(partials.look(3, 500), Some(Part::Old { len: 524 }));
        assert_eq!(partials.look(4, 0), None);
    }

    #[test]
    fn a_cluster_in_too_many_pieces_is_to_be_completed() {
        let partials = partials();
        let more = (2..MAX_PIECES as u64).map(|piece| partials.add(3, piece * 10 + 300..piece * 10 + 301));
        assert!(more.collect::<Vec<_>>().iter().all(|due| !due));
        assert!(partials.add(3, 1000..1001));
    }

    #[test]
    fn the_bit_in_the_table_is_there_as_long_as_the_cluster_is() {
        let partials = partials();
        let slice = partials.get(3).unwrap().slice;
        assert!(slice.is_partial(3) && !slice.is_partial(4));
        partials.remove(3);
        assert!(!slice.is_partial(3));
        assert!(partials.is_empty());
    }
}
