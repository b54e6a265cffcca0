// SPDX-License-Identifier: Apache-2.0
//! Buffers of guest memory for the kernel, kept from one call to the next.

use std::io;
use std::sync::Arc;

use flotilla_device_model::block::Segment;
use flotilla_memory::{Address, GuestMemory, push_iovecs};

/// Most buffers in one call, with room for one more (`IOV_MAX` is 1024).
const MAX_AT_ONCE: usize = 1000;
/// Retired buffers at which the list is closed up.
const CLOSE_UP_AT: usize = 2048;

/// A list of buffers, added at the end and retired at the front.
#[derive(Default)]
pub(crate) struct Buffers {
    pub(crate) list: Vec<libc::iovec>,
    /// The first that is not retired.
    first: usize,
    /// Bytes in those that are not retired.
    capacity: usize,
    /// Keeps what the buffers point to.
    memory: Option<Arc<GuestMemory>>,
}

// SAFETY: the pointers lead into guest memory, which any thread may use and which `memory` keeps, or are used only within
// the call that put them in.
unsafe impl Send for Buffers {}

impl Buffers {
    /// Keeps this memory as long as the list lives. What is in the list must be of the same one.
    pub(crate) fn hold(&mut self, memory: &Arc<GuestMemory>) {
        if !self.memory.as_ref().is_some_and(|held| Arc::ptr_eq(held, memory)) {
            self.clear();
            self.memory = Some(Arc::clone(memory));
        }
    }

    /// Adds segments; how many buffers they are. After an error the list is as it was.
    pub(crate) fn push(&mut self, memory: &GuestMemory, segments: &[Segment]) -> io::Result<usize> {
        self.push_behind(memory, 0, segments)
    }

    /// Adds what lies `skip` bytes behind the beginning of the segments.
    pub(crate) fn push_behind(
        &mut self,
        memory: &GuestMemory,
        skip: usize,
        segments: &[Segment],
    ) -> io::Result<usize> {
        let before = self.list.len();
        let mut skip = u64::try_from(skip).unwrap_or(u64::MAX);
        for segment in segments {
            let skipped = skip.min(segment.len.into());
            skip -= skipped;
            let len = usize::try_from(u64::from(segment.len) - skipped).unwrap_or(usize::MAX);
            if len == 0 {
                continue;
            }
            let pushed = segment
                .address
                .checked_add(skipped)
                .and_then(|address| push_iovecs(memory, address, len, &mut self.list).ok());
            if pushed.is_none() {
                self.list.truncate(before);
                return Err(io::ErrorKind::InvalidInput.into());
            }
        }
        let added = self.list.get(before..).unwrap_or_default();
        self.capacity += added.iter().map(|buffer| buffer.iov_len).sum::<usize>();
        Ok(added.len())
    }

    /// Takes the first buffers away.
    pub(crate) fn retire(&mut self, count: usize) {
        let retired = self.list.iter().skip(self.first).take(count);
        self.capacity -= retired.map(|buffer| buffer.iov_len).sum::<usize>();
        self.first = self.first.saturating_add(count).min(self.list.len());
        if self.first == self.list.len() {
            self.list.clear();
            self.first = 0;
        } else if self.first >= CLOSE_UP_AT {
            self.list.drain(..self.first);
            self.first = 0;
        }
    }

    /// Takes all of them away.
    pub(crate) fn clear(&mut self) {
        self.list.clear();
        (self.first, self.capacity) = (0, 0);
    }

    /// Shows the buffers, as many as the kernel takes at once, and `last` behind them; with the bytes in them without it.
    pub(crate) fn with<T>(&mut self, last: libc::iovec, show: impl FnOnce(&[libc::iovec], usize) -> T) -> T {
        let end = self.first + MAX_AT_ONCE;
        match self.list.get_mut(end) {
            // The list ends before: so may what is shown.
            None => {
                self.list.push(last);
                let shown = show(self.list.get(self.first..).unwrap_or_default(), self.capacity);
                self.list.pop();
                shown
            }
            Some(place) => {
                let hidden = std::mem::replace(place, last);
                let buffers = self.list.get(self.first..=end).unwrap_or_default();
                let capacity = buffers.iter().take(MAX_AT_ONCE).map(|buffer| buffer.iov_len).sum();
                let shown = show(buffers, capacity);
                if let Some(place) = self.list.get_mut(end) {
                    *place = hidden;
                }
                shown
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use flotilla_memory::{Backing, GuestAddress, allocate};

    use super::*;

    fn segment(address: u64, len: u32) -> Segment {
        Segment { address: GuestAddress(address), len }
    }

    fn last() -> libc::iovec {
        libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 1 }
    }

    fn lengths(buffers: &mut Buffers) -> (Vec<usize>, usize) {
        buffers.with(last(), |list, capacity| (list.iter().map(|buffer| buffer.iov_len).collect(), capacity))
    }

    #[test]
    fn adds_at_the_end_and_retires_at_the_front() {
        let memory =
            allocate(&[(GuestAddress(0), 8192), (GuestAddress(8192), 8192)], Backing::Anonymous).unwrap();
        let mut buffers = Buffers::default();
        buffers.hold(&memory);
        assert_eq!(buffers.push(&memory, &[segment(0, 100), segment(8000, 400)]).unwrap(), 3);
        assert_eq!(lengths(&mut buffers), (vec![100, 192, 208, 1], 500));
        assert!(buffers.push(&memory, &[segment(0, 7), segment(16_000, 1000)]).is_err());
        buffers.retire(1);
        assert_eq!(lengths(&mut buffers), (vec![192, 208, 1], 400));
        buffers.retire(2);
        assert_eq!(lengths(&mut buffers), (vec![1], 0));
    }

    #[test]
    fn shows_no_more_than_the_kernel_takes_and_loses_none() {
        let memory = allocate(&[(GuestAddress(0), 8192)], Backing::Anonymous).unwrap();
        let mut buffers = Buffers::default();
        buffers.hold(&memory);
        buffers.push(&memory, &vec![segment(0, 3); 5000]).unwrap();
        for left in (0..=5000_usize).rev().step_by(500) {
            let (list, capacity) = lengths(&mut buffers);
            let shown = left.min(1000);
            assert_eq!((list.len(), capacity, list.last()), (shown + 1, 3 * shown, Some(&1)));
            assert!(list.iter().take(shown).all(|len| *len == 3));
            buffers.retire(500);
        }
    }

    #[test]
    fn skips_what_stands_elsewhere() {
        let memory = allocate(&[(GuestAddress(0), 8192)], Backing::Anonymous).unwrap();
        let mut buffers = Buffers::default();
        let segments = [segment(0, 10), segment(100, 2), segment(200, 30)];
        buffers.push_behind(&memory, 24, &segments).unwrap();
        assert_eq!(lengths(&mut buffers), (vec![18, 1], 18));
    }
}
