// SPDX-License-Identifier: Apache-2.0
//! RAM for tests.

use std::sync::Arc;

use flotilla_memory::{GuestAddress, GuestMemory};

/// One region of RAM from address 0.
pub fn guest_memory(len: usize) -> Arc<GuestMemory> {
    guest_memory_in(&[(0, len)])
}

/// RAM in the given (start, length) regions.
pub fn guest_memory_in(regions: &[(u64, usize)]) -> Arc<GuestMemory> {
    let regions: Vec<_> = regions.iter().map(|&(start, len)| (GuestAddress(start), len)).collect();
    Arc::new(GuestMemory::from_ranges(&regions).expect("test memory"))
}
