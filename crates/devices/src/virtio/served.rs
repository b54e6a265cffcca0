// SPDX-License-Identifier: Apache-2.0
//! A ring that somebody else serves: vhost-net in the kernel, or a process of its own. It reaches the driver by itself where
//! the transport has an eventfd for that; where it has none, and when the driver broke the ring, a thread of ours hears of it.

use std::io;
use std::sync::Arc;

use flotilla_device_model::ring::Ring;
use flotilla_device_model::virtio::{ActiveQueue, VirtioInterrupt};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory, mark_dirty};
use virtio_queue::{QueueState, QueueT};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::queue::F_EVENT_IDX;

/// With the index of a ring, these stand for queues that no device has: the ring calls, or is broken.
pub(super) const RELAYED: u16 = 1 << 14;
pub(super) const ERROR: u16 = 1 << 13;

/// One ring and the ways it makes itself heard.
pub(super) struct ServedRing {
    index: u16,
    state: QueueState,
    doorbell: Arc<EventFd>,
    /// Reaches the driver by itself.
    direct: Option<EventFd>,
    /// Stands in for that where there is none.
    relayed: Arc<EventFd>,
    error: Arc<EventFd>,
    broken: bool,
}

impl ServedRing {
    pub(super) fn new(
        index: u16,
        queue: ActiveQueue,
        features: u64,
        interrupt: &dyn VirtioInterrupt,
    ) -> io::Result<Self> {
        let ActiveQueue { mut queue, doorbell } = queue;
        queue.set_event_idx(features & F_EVENT_IDX != 0);
        Ok(Self {
            index,
            state: queue.state(),
            doorbell,
            direct: interrupt.queue_event(index),
            relayed: Arc::new(EventFd::new(EFD_NONBLOCK)?),
            error: Arc::new(EventFd::new(EFD_NONBLOCK)?),
            broken: false,
        })
    }

    /// What to wait for beside doorbells, as if it were some.
    pub(super) fn sources(&self) -> [(u16, Arc<EventFd>); 2] {
        [(RELAYED | self.index, Arc::clone(&self.relayed)), (ERROR | self.index, Arc::clone(&self.error))]
    }

    /// For whoever serves it.
    pub(super) fn ring(&self) -> Ring<'_> {
        let call = self.direct.as_ref().unwrap_or(&self.relayed);
        Ring { state: self.state, kick: &self.doorbell, call, error: &self.error }
    }

    /// Takes the positions back; the used ring keeps its own in memory.
    pub(super) fn stopped_at(&mut self, next_avail: u16, memory: &GuestMemory) {
        self.state.next_avail = next_avail;
        let index = GuestAddress(self.state.used_ring.saturating_add(2));
        if let Ok(used) = memory.read_obj::<u16>(index) {
            self.state.next_used = u16::from_le(used);
        }
    }

    pub(super) fn index(&self) -> u16 {
        self.index
    }

    /// Its index, and how it stands.
    pub(super) fn position(&self) -> (u16, QueueState) {
        (self.index, self.state)
    }

    /// Whether its call is to be passed on.
    pub(super) fn called(&self) -> bool {
        self.relayed.read().is_ok()
    }

    /// Has whoever serves it look for what came while nobody listened.
    pub(super) fn knock(&self) {
        let _ = self.doorbell.write(1);
    }

    /// Whether it was heard to be broken, and was not before.
    pub(super) fn breaks(&mut self) -> bool {
        self.error.read().is_ok() && !std::mem::replace(&mut self.broken, true)
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}

/// Nobody told us which pages were written, so that all count as such.
pub(super) fn mark_all_dirty(memory: &GuestMemory) {
    for region in memory.iter() {
        let len = usize::try_from(region.len()).unwrap_or(usize::MAX);
        mark_dirty(memory, region.start_addr(), len);
    }
}
