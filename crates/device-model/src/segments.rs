// SPDX-License-Identifier: Apache-2.0
//! Pieces of guest memory, and short lists of them that need no allocation.

use std::ops::Deref;

use flotilla_memory::GuestAddress;

/// A piece of guest memory that takes part in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub address: GuestAddress,
    /// Length in bytes, at least 1. The device has checked that the whole segment lies in RAM.
    pub len: u32,
}

/// How many segments a list holds without an allocation: small requests have one or two.
const INLINE: usize = 4;

const NONE: Segment = Segment { address: GuestAddress(0), len: 0 };

/// A list of segments. Most are short, and a list is made for each request.
#[derive(Debug, Clone)]
pub struct Segments(Storage);

#[derive(Debug, Clone)]
enum Storage {
    /// The first so many of the array.
    Inline(usize, [Segment; INLINE]),
    Heap(Vec<Segment>),
}

impl Segments {
    /// An empty list.
    pub const fn new() -> Self {
        Self(Storage::Inline(0, [NONE; INLINE]))
    }

    /// Appends a segment.
    pub fn push(&mut self, segment: Segment) {
        match &mut self.0 {
            Storage::Heap(list) => list.push(segment),
            Storage::Inline(len, array) => {
                if let Some(place) = array.get_mut(*len) {
                    *place = segment;
                    *len += 1;
                } else {
                    let mut list = Vec::with_capacity(4 * INLINE);
                    list.extend_from_slice(array);
                    list.push(segment);
                    self.0 = Storage::Heap(list);
                }
            }
        }
    }
}

impl Default for Segments {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Segments {
    type Target = [Segment];

    fn deref(&self) -> &[Segment] {
        match &self.0 {
            Storage::Inline(len, array) => array.get(..*len).unwrap_or_default(),
            Storage::Heap(list) => list,
        }
    }
}

impl PartialEq for Segments {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Segments {}

impl<const N: usize> PartialEq<[Segment; N]> for Segments {
    fn eq(&self, other: &[Segment; N]) -> bool {
        **self == *other
    }
}

impl From<Vec<Segment>> for Segments {
    fn from(list: Vec<Segment>) -> Self {
        Self(Storage::Heap(list))
    }
}

impl FromIterator<Segment> for Segments {
    fn from_iter<T: IntoIterator<Item = Segment>>(segments: T) -> Self {
        let mut list = Self::new();
        segments.into_iter().for_each(|segment| list.push(segment));
        list
    }
}

impl<'a> IntoIterator for &'a Segments {
    type Item = &'a Segment;
    type IntoIter = std::slice::Iter<'a, Segment>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_same_however_it_is_kept() {
        for count in 0..20 {
            let all: Vec<Segment> =
                (0..count).map(|at| Segment { address: GuestAddress(at), len: 1 }).collect();
            let list: Segments = all.iter().copied().collect();
            assert_eq!(*list, *all);
            assert_eq!(list, Segments::from(all));
        }
    }
}
