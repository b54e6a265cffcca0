// SPDX-License-Identifier: Apache-2.0
//! Pairs that a back-end serves by itself ([`RingBackend`]): this thread starts and stops it, hears of broken rings, and
//! passes interrupts on where the back-end cannot reach the driver without help.

use std::sync::Arc;

use flotilla_device_model::net::RingBackend;
use flotilla_device_model::virtio::VirtioInterrupt;
use flotilla_memory::GuestMemory;
use virtio_queue::QueueState;
use vmm_sys_util::eventfd::EventFd;

use super::control::Control;
use super::shared::{Shared, View};
use crate::virtio::served::{self, ERROR, RELAYED, ServedRing};
use crate::virtio::worker::{Service, Watches};

/// Stands for a queue that no interface has: the agreement or the link changed.
pub(super) const CHANGED: u16 = u16::MAX;

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
        if self.pairs.iter().flatten().any(ServedRing::is_broken) {
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
            receive.knock();
            transmit.knock();
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
        // Not before the last one was stopped: the log may be read in between.
        served::mark_all_dirty(&self.memory);
    }

    fn ring_at(&mut self, index: u16) -> Option<&mut ServedRing> {
        self.pairs.iter_mut().flatten().find(|ring| ring.index() == index)
    }

    fn relay(&mut self, index: u16) {
        if self.ring_at(index).is_some_and(|ring| ring.called()) {
            self.interrupt.signal_queue(index);
        }
    }

    fn break_ring(&mut self, index: u16) {
        if self.ring_at(index).is_some_and(ServedRing::breaks) {
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
        self.pairs.iter().flatten().map(ServedRing::position).chain(control).collect()
    }
}
