// SPDX-License-Identifier: Apache-2.0
//! Allocates address ranges inside a window.

use std::collections::BTreeMap;

/// A window of addresses and the ranges taken in it. Ranges never overlap.
///
/// ```
/// use flotilla_devices::pci::ranges::RangeAllocator;
///
/// let mut window = RangeAllocator::new(0x1000, 0x3000).unwrap();
/// assert_eq!(window.allocate(0x1000, 0x2000), Some(0x2000));
/// assert!(!window.reserve(0x2800, 0x100));
/// ```
#[derive(Debug, Clone)]
pub struct RangeAllocator {
    first: u64,
    last: u64,
    /// First address of each taken range, and its last.
    taken: BTreeMap<u64, u64>,
}

impl RangeAllocator {
    /// A window of `len` bytes; `None` when it is empty or wraps.
    pub fn new(first: u64, len: u64) -> Option<Self> {
        Some(Self { first, last: last_of(first, len)?, taken: BTreeMap::new() })
    }

    /// Whether the whole range lies in the window.
    pub fn contains(&self, start: u64, len: u64) -> bool {
        last_of(start, len).is_some_and(|last| start >= self.first && last <= self.last)
    }

    /// Takes the lowest free range of `len` bytes whose start is a multiple of `align`, a power of two.
    pub fn allocate(&mut self, len: u64, align: u64) -> Option<u64> {
        if !align.is_power_of_two() {
            return None;
        }
        let mut start = align_up(self.first, align)?;
        for (&first, &last) in &self.taken {
            if last_of(start, len)? < first {
                break;
            }
            if last >= start {
                start = align_up(last.checked_add(1)?, align)?;
            }
        }
        self.reserve(start, len).then_some(start)
    }

    /// Takes exactly this range; `false` when part of it is taken or outside the window.
    pub fn reserve(&mut self, start: u64, len: u64) -> bool {
        let Some(last) = last_of(start, len) else { return false };
        let below = self.taken.range(..=last).next_back();
        if !self.contains(start, len) || below.is_some_and(|(_, &taken)| taken >= start) {
            return false;
        }
        self.taken.insert(start, last);
        true
    }

    /// Frees the range that begins at `start`; `false` when none does.
    pub fn free(&mut self, start: u64) -> bool {
        self.taken.remove(&start).is_some()
    }
}

fn last_of(start: u64, len: u64) -> Option<u64> {
    start.checked_add(len.checked_sub(1)?)
}

fn align_up(address: u64, align: u64) -> Option<u64> {
    address.checked_next_multiple_of(align)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Allocate(u64, u32),
        Reserve(u64, u64),
        Free(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..40_u64, 0..6_u32).prop_map(|(len, shift)| Step::Allocate(len, shift)),
            (0..300_u64, 0..40_u64).prop_map(|(start, len)| Step::Reserve(start, len)),
            (0..40_usize).prop_map(Step::Free),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_bitmap(steps in prop::collection::vec(step(), 1..120)) {
            const FIRST: u64 = 13;
            const LEN: u64 = 200;
            let mut ranges = RangeAllocator::new(FIRST, LEN).unwrap();
            let mut model = vec![false; 400];
            let mut held: Vec<(u64, u64)> = Vec::new();
            let free = |model: &[bool], start: u64, len: u64| {
                len > 0 && start >= FIRST && start + len <= FIRST + LEN
                    && (start..start + len).all(|at| !model[usize::try_from(at).unwrap()])
            };
            let mark = |model: &mut [bool], start: u64, len: u64, value| {
                (start..start + len).for_each(|at| model[usize::try_from(at).unwrap()] = value);
            };
            for step in steps {
                match step {
                    Step::Allocate(len, shift) => {
                        let align = 1 << shift;
                        let expected = (0..FIRST + LEN)
                            .find(|&start| start % align == 0 && free(&model, start, len));
                        prop_assert_eq!(ranges.allocate(len, align), expected);
                        if let Some(start) = expected {
                            mark(&mut model, start, len, true);
                            held.push((start, len));
                        }
                    }
                    Step::Reserve(start, len) => {
                        let expected = free(&model, start, len);
                        prop_assert_eq!(ranges.reserve(start, len), expected);
                        if expected {
                            mark(&mut model, start, len, true);
                            held.push((start, len));
                        }
                    }
                    Step::Free(index) if index < held.len() => {
                        let (start, len) = held.swap_remove(index);
                        prop_assert!(ranges.free(start));
                        mark(&mut model, start, len, false);
                    }
                    Step::Free(_) => prop_assert!(!ranges.free(0)),
                }
            }
        }
    }

    #[test]
    fn reaches_the_end_of_the_address_space() {
        let mut ranges = RangeAllocator::new(u64::MAX - 0xfff, 0x1000).unwrap();
        assert_eq!(ranges.allocate(0x1000, 0x1000), Some(u64::MAX - 0xfff));
        assert_eq!(ranges.allocate(1, 1), None);
        assert!(RangeAllocator::new(u64::MAX, 2).is_none());
    }
}
