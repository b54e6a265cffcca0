// SPDX-License-Identifier: Apache-2.0
//! Entry point for a fuzzer.

use flotilla_device_model::block::Segment;
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};

use super::config::SECTOR;
use super::request::{Action, BlockRequest, Geometry};
use crate::virtio::chain::Walker;

const RAM_LEN: usize = 64 << 10;
const ENTRIES: u16 = 16;
const DISK: u64 = 1 << 20;

/// Takes `data` for the start of guest memory: a descriptor table of 16 entries, then whatever the descriptors name.
/// Walks the chain at its head 0 and parses it as a request to a disk of 1 MiB.
///
/// # Panics
/// If a request that was accepted moves other than whole sectors inside the disk and inside memory.
pub fn fuzz_request(data: &[u8]) {
    let Ok(memory) = GuestMemory::from_ranges(&[(GuestAddress(0), RAM_LEN)]) else { return };
    let data = data.get(..RAM_LEN).unwrap_or(data);
    if memory.write_slice(data, GuestAddress(0)).is_err() {
        return;
    }
    let walker = Walker { memory: &memory, table: 0, size: ENTRIES, indirect: true };
    let Ok(chain) = walker.walk(0) else { return };
    let geometry = Geometry { size: DISK, read_only: data.first().is_some_and(|byte| byte & 1 != 0) };
    let Ok(Some(request)) = BlockRequest::parse(&chain, &memory, geometry) else { return };
    assert!(request.answer.status.0 < RAM_LEN as u64, "status outside memory");
    match request.action {
        Action::Read { offset, segments } => check(offset, &segments),
        Action::Write { offset, segments } => {
            assert!(!geometry.read_only, "write to a read-only disk");
            check(offset, &segments);
        }
        Action::GetId => assert!(request.answer.writable_len > 20, "serial has no room"),
        Action::Flush | Action::Unsupported(_) | Action::Refused(_) => {}
    }
}

fn check(offset: u64, segments: &[Segment]) {
    let len: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
    assert!(len > 0 && len.is_multiple_of(SECTOR) && offset.is_multiple_of(SECTOR), "not whole sectors");
    assert!(offset + len <= DISK, "past the end of the disk");
    for segment in segments {
        assert!(
            segment.len > 0 && segment.address.0 + u64::from(segment.len) <= RAM_LEN as u64,
            "outside memory"
        );
    }
}
