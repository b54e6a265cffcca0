// SPDX-License-Identifier: Apache-2.0
//! One pair of queues: which event leads to which queue.
//!
//! The back-end wakes the thread once for each frame that comes (edge-triggered), also while nobody can take it: a look
//! costs less than to leave and enter the epoll set whenever the driver runs out of buffers. So whoever stops with frames
//! left comes back by himself: at the driver's doorbell, at that of a change, or at one he rings for himself.
//!
//! A back-end that could send only a part of a frame is waited for until it is writable, and only then. One that has lost its
//! other end takes the link down with it.

use std::sync::Arc;
use std::time::Instant;

use flotilla_device_model::net::{Condition, PacketQueue};
use virtio_queue::QueueState;
use vmm_sys_util::epoll::EventSet;

use super::control::Control;
use super::receive::{Ends, Next, Receiver};
use super::shared::{Shared, View};
use super::transmit::{self, Gate};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// Token of the back-end.
pub(super) const BACKEND: u32 = 0;

/// Serves a pair of queues and, the first of them, the control queue.
pub struct PairService {
    /// Position among the pairs.
    pub(super) pair: u16,
    pub(super) rx: DeviceQueue,
    pub(super) tx: DeviceQueue,
    pub(super) control: Option<Control>,
    pub(super) receiver: Receiver,
    /// Of frames for the driver.
    pub(super) receive_limiter: Limiter,
    /// Of frames of the driver.
    pub(super) transmit_limiter: Limiter,
    pub(super) packets: Box<dyn PacketQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) view: View,
    /// The one address that frames may come from, if others are spoofed.
    pub(super) pinned_mac: Option<[u8; 6]>,
    /// The link was down when frames were looked for last: what waits is from that time.
    pub(super) stale: bool,
    /// How the back-end was off when it was looked at last.
    pub(super) condition: Condition,
    /// The back-end is gone.
    pub(super) gone: bool,
}

impl PairService {
    /// Has the thread look at its limits again.
    pub(super) fn recheck(&self) {
        self.rx.reschedule();
        self.tx.reschedule();
    }

    fn receive(&mut self, watches: &Watches) {
        self.view.refresh(&self.shared);
        if !self.view.link_up {
            self.stale = true;
            return;
        }
        if self.gone || self.pair >= self.view.agreement.pairs || self.rx.is_broken() {
            return;
        }
        if std::mem::take(&mut self.stale)
            && let Err(error) = self.packets.discard()
        {
            tracing::debug!(%error, "network back-end keeps what came while the link was down");
        }
        let (shared, pair) = (&self.shared, self.pair);
        let in_use = || shared.agreement().is_some_and(|agreement| pair < agreement.pairs);
        let ends = Ends {
            queue: &mut self.rx,
            packets: self.packets.as_mut(),
            limiter: &self.receive_limiter,
            metrics: &self.shared.metrics,
        };
        match self.receiver.serve(ends, &self.view, &in_use) {
            Ok(Next::Event) | Err(_) => {}
            Ok(Next::Turn) => self.rx.reschedule(),
            Ok(Next::Nothing) => {
                self.gone = true;
                if let Err(error) = watches.forget(BACKEND) {
                    tracing::error!(%error, "cannot forget a back-end that is gone");
                }
            }
        }
        if self.rx.is_broken() {
            self.shared.metrics.broken_queues.increment();
        }
    }

    /// Waits for what the back-end needs after what was done with it.
    fn attend(&mut self, watches: &Watches) {
        let before = std::mem::replace(&mut self.condition, self.packets.condition());
        if self.gone || self.condition == before {
            return;
        }
        let wanted = match self.condition {
            Condition::Ready => EventSet::IN | EventSet::EDGE_TRIGGERED,
            Condition::Sending => EventSet::IN | EventSet::OUT | EventSet::EDGE_TRIGGERED,
            Condition::Gone => {
                self.gone = true;
                self.shared.lose_link();
                EventSet::empty()
            }
        };
        if let Err(error) = watches.listen(BACKEND, wanted) {
            tracing::error!(%error, "cannot listen to a network back-end");
        }
    }

    fn transmit(&mut self) {
        if self.tx.is_broken() {
            return;
        }
        self.view.refresh(&self.shared);
        let gate = Gate { link_up: self.view.link_up, pinned_mac: self.pinned_mac };
        let metrics = &self.shared.metrics;
        let sent =
            transmit::serve(&mut self.tx, self.packets.as_mut(), gate, &self.transmit_limiter, metrics);
        if sent.is_err() {
            metrics.broken_queues.increment();
        }
    }
}

impl Service for PairService {
    fn begin(&mut self, watches: &Watches) {
        if self.gone {
            return;
        }
        // What it waited for before is forgotten with the watches: a rest that is to be sent must be listened for again.
        self.condition = Condition::Ready;
        if let Err(error) = watches.listen(BACKEND, EventSet::IN | EventSet::EDGE_TRIGGERED) {
            tracing::error!(%error, "cannot listen to a network back-end");
        }
    }

    fn doorbell(&mut self, queue: u16, watches: &Watches) {
        if queue == self.rx.index() {
            self.receive(watches);
        } else if queue == self.tx.index() {
            self.transmit();
        } else if let Some(control) = &mut self.control {
            control.serve();
        }
        self.attend(watches);
    }

    fn ready(&mut self, _token: u32, watches: &Watches) {
        self.packets.flush();
        self.receive(watches);
        self.attend(watches);
    }

    fn deadline(&self) -> Option<Instant> {
        let due = [self.receive_limiter.due(), self.transmit_limiter.due()];
        due.into_iter().flatten().min()
    }

    fn tick(&mut self, watches: &Watches) {
        let now = Instant::now();
        if self.receive_limiter.expire(now) {
            self.receive(watches);
        }
        if self.transmit_limiter.expire(now) {
            self.transmit();
        }
        self.attend(watches);
    }

    fn drain(&mut self) {
        self.receiver.put_back(&mut self.rx, self.packets.as_mut());
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        let control = self.control.as_ref().map(|control| &control.queue);
        let queues = [Some(&self.rx), Some(&self.tx), control];
        queues.into_iter().flatten().map(|queue| (queue.index(), queue.state())).collect()
    }
}
