// SPDX-License-Identifier: Apache-2.0
//! Entry point for a fuzzer.

use flotilla_device_model::block::{Range, Segment};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};

use super::request::{Action, BlockRequest, Geometry};
use crate::virtio::chain::Walker;

const RAM_LEN: usize = 64 << 10;
const ENTRIES: u16 = 16;
const DISK: u64 = 1 << 20;

/// Takes `data` for the start of guest memory: a descriptor table of 16 entries, then whatever the descriptors name.
/// Walks the chain at its head 0 and parses it as a request to a disk of 1 MiB.
///
/// # Panics
/// If a request that was accepted moves other than whole blocks inside the disk and inside memory.
pub fn fuzz_request(data: &[u8]) {
    let Ok(memory) = GuestMemory::from_ranges(&[(GuestAddress(0), RAM_LEN)]) else { return };
    let data = data.get(..RAM_LEN).unwrap_or(data);
    if memory.write_slice(data, GuestAddress(0)).is_err() {
        return;
    }
    let walker = Walker { memory: &memory, table: 0, window: None, size: ENTRIES, indirect: true };
    let Ok(chain) = walker.walk(0) else { return };
    let choice = data.first().copied().unwrap_or(0);
    let geometry = Geometry {
        size: DISK,
        read_only: choice & 1 != 0,
        block_size: if choice & 2 != 0 { 4096 } else { 512 },
        can_discard: choice & 4 == 0,
    };
    let Ok(Some(request)) = BlockRequest::parse(&chain, &memory, geometry) else { return };
    assert!(request.answer.status.0 < RAM_LEN as u64, "status outside memory");
    match request.action {
        Action::Read { offset, segments } => check(offset, &segments, geometry),
        Action::Write { offset, segments } => {
            assert!(!geometry.read_only, "write to a read-only disk");
            check(offset, &segments, geometry);
        }
        Action::GetId => assert!(request.answer.writable_len > 20, "serial has no room"),
        Action::Discard(ranges) | Action::WriteZeroes(ranges) => {
            assert!(geometry.can_discard && !geometry.read_only, "ranges for a disk without");
            assert!(!ranges.is_empty() && ranges.len() <= 16, "too many ranges");
            for range in &ranges {
                check_range(range, geometry);
            }
        }
        Action::Flush | Action::Unsupported(_) | Action::Refused(_) | Action::UnknownFlag(_) => {}
    }
}

fn check_range(range: &Range, geometry: Geometry) {
    let block = u64::from(geometry.block_size);
    assert!(range.len > 0 && range.len.is_multiple_of(block) && range.offset.is_multiple_of(block));
    assert!(range.offset + range.len <= DISK, "past the end of the disk");
}

fn check(offset: u64, segments: &[Segment], geometry: Geometry) {
    let len: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
    check_range(&Range { offset, len, unmap: false }, geometry);
    for segment in segments {
        assert!(
            segment.len > 0 && segment.address.0 + u64::from(segment.len) <= RAM_LEN as u64,
            "outside memory"
        );
    }
}
