// SPDX-License-Identifier: Apache-2.0
//! Pairs that a back-end serves by itself ([`RingBackend`]): this thread starts and stops it, hears of broken rings, and
//! passes interrupts on where the back-end cannot reach the driver without help.

use std::io;
use std::sync::Arc;

use flotilla_device_model::net::{Ring, RingBackend};
use flotilla_device_model::virtio::{ActiveQueue, VirtioInterrupt};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory, mark_dirty};
use virtio_queue::{QueueState, QueueT};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::control::Control;
use super::shared::{Shared, View};
use crate::virtio::queue::F_EVENT_IDX;
use crate::virtio::worker::{Service, Watches};

/// Stand for queues that no interface has: the agreement or the link changed; a ring calls, or is broken.
pub(super) const CHANGED: u16 = u16::MAX;
const RELAYED: u16 = 1 << 14;
const ERROR: u16 = 1 << 13;

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

    fn ring(&self) -> Ring<'_> {
        let call = self.direct.as_ref().unwrap_or(&self.relayed);
        Ring { state: self.state, kick: &self.doorbell, call, error: &self.error }
    }

    /// Takes the positions back; the used ring keeps its own in memory.
    fn stopped_at(&mut self, next_avail: u16, memory: &GuestMemory) {
        self.state.next_avail = next_avail;
        let index = GuestAddress(self.state.used_ring.saturating_add(2));
        if let Ok(used) = memory.read_obj::<u16>(index) {
            self.state.next_used = u16::from_le(used);
        }
    }
}

/// Watches over all pairs of an interface and serves its control queue.
pub struct RingService {
    pub(super) rings: Arc<dyn RingBackend>,
    pub(super) memory: Arc<GuestMemory>,
    pub(super) features: u64,
    pub(super) interrupt: Arc<dyn VirtioInterrupt>,
    /// Receive and transmit ring of each pair.
    pub(super) pairs: Vec<[ServedRing; 2]>,
    pub(super) control: Option<Control>,
    pub(super) shared: Arc<Shared>,
    pub(super) view: View,
    /// Signalled when the agreement or the link changes.
    pub(super) changed: Arc<EventFd>,
    /// The pairs are being served.
    pub(super) started: bool,
}

impl RingService {
    /// Starts or stops the pairs as the link says.
    fn follow_link(&mut self) {
        self.view.refresh(&self.shared);
        if self.view.link_up && !self.started {
            self.start();
        } else if !self.view.link_up && self.started {
            self.stop();
        }
    }

    fn start(&mut self) {
        if self.pairs.iter().flatten().any(|ring| ring.broken) {
            return;
        }
        self.started = true;
        for (pair, [receive, transmit]) in (0..).zip(&self.pairs) {
            let started =
                self.rings.start(pair, self.features, &self.memory, receive.ring(), transmit.ring());
            if let Err(error) = started {
                tracing::error!(%error, pair, "network back-end cannot serve the rings of a driver");
                self.shared.metrics.broken_queues.increment();
                self.interrupt.needs_reset();
                self.stop();
                return;
            }
            // For what came while nobody listened.
            for ring in [receive, transmit] {
                let _ = ring.doorbell.write(1);
            }
        }
    }

    fn stop(&mut self) {
        self.started = false;
        for (pair, [receive, transmit]) in (0..).zip(&mut self.pairs) {
            match self.rings.stop(pair) {
                Ok([receive_at, transmit_at]) => {
                    receive.stopped_at(receive_at, &self.memory);
                    transmit.stopped_at(transmit_at, &self.memory);
                }
                Err(error) => tracing::error!(%error, pair, "network back-end does not stop as it should"),
            }
        }
        // Nobody told us which pages were written. Not before the last one was: the log may be read in between.
        for region in self.memory.iter() {
            let len = usize::try_from(region.len()).unwrap_or(usize::MAX);
            mark_dirty(&self.memory, region.start_addr(), len);
        }
    }

    fn ring_at(&mut self, index: u16) -> Option<&mut ServedRing> {
        self.pairs.iter_mut().flatten().find(|ring| ring.index == index)
    }

    fn relay(&mut self, index: u16) {
        let called = self.ring_at(index).is_some_and(|ring| ring.relayed.read().is_ok());
        if called {
            self.interrupt.signal_queue(index);
        }
    }

    fn break_ring(&mut self, index: u16) {
        let Some(ring) = self.ring_at(index).filter(|ring| ring.error.read().is_ok()) else { return };
        if !std::mem::replace(&mut ring.broken, true) {
            self.shared.metrics.broken_queues.increment();
            self.interrupt.needs_reset();
        }
    }
}

impl Service for RingService {
    fn begin(&mut self, _watches: &Watches) {
        self.follow_link();
    }

    fn doorbell(&mut self, queue: u16, _watches: &Watches) {
        if queue == CHANGED {
            let _ = self.changed.read();
            self.follow_link();
        } else if queue & RELAYED != 0 {
            self.relay(queue & !RELAYED);
        } else if queue & ERROR != 0 {
            self.break_ring(queue & !ERROR);
        } else if let Some(control) = &mut self.control {
            control.serve();
        }
    }

    fn drain(&mut self) {
        if self.started {
            self.stop();
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        let control = self.control.as_ref().map(|control| (control.queue.index(), control.queue.state()));
        self.pairs.iter().flatten().map(|ring| (ring.index, ring.state)).chain(control).collect()
    }
}
