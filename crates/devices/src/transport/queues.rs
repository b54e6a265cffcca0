// SPDX-License-Identifier: Apache-2.0
//! The queue registers of the driver, and the check that turns them into a queue.

use flotilla_memory::{GuestAddress, GuestMemory};
use serde::{Deserialize, Serialize};
use virtio_queue::{Queue, QueueState};
use vm_memory::GuestMemoryBackend;

/// What the driver set up for one queue. Also its saved form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueRegisters {
    /// Entries the driver chose.
    pub size: u16,
    /// Whether the driver enabled the queue.
    pub enabled: bool,
    /// Address of the descriptor table.
    pub descriptors: u64,
    /// Address of the available ring (driver area).
    pub available: u64,
    /// Address of the used ring (device area).
    pub used: u64,
    /// MSI-X vector, 0xffff for none.
    pub vector: u16,
    /// Position in the available ring; meaningful while nobody serves the queue.
    pub next_available: u16,
    /// Position in the used ring; meaningful while nobody serves the queue.
    pub next_used: u16,
}

/// `VIRTIO_MSI_NO_VECTOR`.
pub const NO_VECTOR: u16 = 0xffff;

impl QueueRegisters {
    /// As after a reset.
    pub fn new(max_size: u16) -> Self {
        Self {
            size: max_size,
            enabled: false,
            descriptors: 0,
            available: 0,
            used: 0,
            vector: NO_VECTOR,
            next_available: 0,
            next_used: 0,
        }
    }

    /// The queue, if all of it is aligned and lies in RAM (virtio 1.2 §2.7).
    pub fn build(&self, max_size: u16, memory: &GuestMemory) -> Option<Queue> {
        let entries = u64::from(self.size);
        let inside = is_inside(memory, self.descriptors, 16 * entries)
            && is_inside(memory, self.available, 6 + 2 * entries)
            && is_inside(memory, self.used, 6 + 8 * entries);
        if !is_size(self.size, max_size) || !inside {
            return None;
        }
        let state = QueueState {
            max_size,
            next_avail: self.next_available,
            next_used: self.next_used,
            // Decided by the agreed features, by whoever serves the queue.
            event_idx_enabled: false,
            size: self.size,
            ready: true,
            desc_table: self.descriptors,
            avail_ring: self.available,
            used_ring: self.used,
        };
        Queue::try_from(state).ok()
    }
}

/// Whether a driver may choose this size.
pub fn is_size(size: u16, max_size: u16) -> bool {
    size.is_power_of_two() && size <= max_size
}

fn is_inside(memory: &GuestMemory, start: u64, len: u64) -> bool {
    let Ok(len) = usize::try_from(len) else { return false };
    GuestMemoryBackend::check_range(memory, GuestAddress(start), len)
}
