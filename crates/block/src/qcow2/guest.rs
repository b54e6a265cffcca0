// SPDX-License-Identifier: Apache-2.0
//! Pieces of a request's guest memory.

use std::io;

use flotilla_device_model::block::Segment;
use flotilla_memory::{Address, Bytes, GuestMemory};

use super::bytes::index;

/// What is copied at a time.
const CHUNK: usize = 64 << 10;

/// How many bytes the segments hold.
pub(super) fn total(segments: &[Segment]) -> u64 {
    segments.iter().map(|segment| u64::from(segment.len)).sum()
}

/// The `len` bytes that follow the first `skip`.
pub(super) fn cut(segments: &[Segment], skip: u64, len: u64) -> Vec<Segment> {
    let (mut skip, mut len) = (skip, len);
    let mut found = Vec::with_capacity(segments.len());
    for segment in segments {
        let whole = u64::from(segment.len);
        let drop = skip.min(whole);
        skip -= drop;
        let keep = (whole - drop).min(len);
        if keep > 0 {
            len -= keep;
            // Both fit: they are no more than the length of a segment.
            let keep = u32::try_from(keep).unwrap_or(u32::MAX);
            found.push(Segment { address: segment.address.unchecked_add(drop), len: keep });
        }
        if len == 0 {
            break;
        }
    }
    found
}

/// Copies a buffer to the guest.
pub(super) fn give(memory: &GuestMemory, segments: &[Segment], data: &[u8]) -> io::Result<()> {
    let mut rest = data;
    for segment in segments {
        let (now, later) = rest.split_at(index(segment.len.into()).min(rest.len()));
        memory.write_slice(now, segment.address).map_err(io::Error::other)?;
        rest = later;
    }
    Ok(())
}

/// Copies what the guest has to a buffer, once: it may change it meanwhile.
pub(super) fn take(memory: &GuestMemory, segments: &[Segment], data: &mut [u8]) -> io::Result<()> {
    let mut rest = data;
    for segment in segments {
        let (now, later) = rest.split_at_mut(index(segment.len.into()).min(rest.len()));
        memory.read_slice(now, segment.address).map_err(io::Error::other)?;
        rest = later;
    }
    Ok(())
}

/// Gives the guest zeroes.
pub(super) fn clear(memory: &GuestMemory, segments: &[Segment]) -> io::Result<()> {
    static ZEROES: [u8; CHUNK] = [0; CHUNK];
    for segment in segments {
        let (mut at, mut rest) = (segment.address, index(segment.len.into()));
        while rest > 0 {
            let step = rest.min(CHUNK);
            memory.write_slice(ZEROES.get(..step).unwrap_or_default(), at).map_err(io::Error::other)?;
            at = at.unchecked_add(step as u64);
            rest -= step;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flotilla_memory::GuestAddress;

    use super::*;

    #[test]
    fn cuts_across_segments() {
        let segment = |address, len| Segment { address: GuestAddress(address), len };
        let list = [segment(100, 10), segment(200, 20), segment(300, 30)];
        assert_eq!(cut(&list, 0, 60), list);
        assert_eq!(cut(&list, 5, 5), [segment(105, 5)]);
        assert_eq!(cut(&list, 10, 21), [segment(200, 20), segment(300, 1)]);
        assert_eq!(cut(&list, 9, 22), [segment(109, 1), segment(200, 20), segment(300, 1)]);
        assert_eq!(cut(&list, 60, 1), []);
    }
}
