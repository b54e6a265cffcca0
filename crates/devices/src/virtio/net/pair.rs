// SPDX-License-Identifier: Apache-2.0
//! One pair of queues: which event leads to which queue.
//!
//! The back-end wakes the thread once for each frame that comes (edge-triggered), also while nobody can take it: a look
//! costs less than to leave and enter the epoll set whenever the driver runs out of buffers. So whoever stops with frames
//! left comes back by himself: at the driver's doorbell, at that of a change, or at one he rings for himself.

use std::sync::Arc;

use flotilla_device_model::net::PacketQueue;
use virtio_queue::QueueState;
use vmm_sys_util::epoll::EventSet;

use super::control::Control;
use super::receive::{Ends, Next, Receiver};
use super::shared::{Shared, View};
use super::transmit::{self, Gate};
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
    pub(super) packets: Box<dyn PacketQueue>,
    pub(super) shared: Arc<Shared>,
    pub(super) view: View,
    /// The one address that frames may come from, if others are spoofed.
    pub(super) pinned_mac: Option<[u8; 6]>,
    /// The link was down when frames were looked for last: what waits is from that time.
    pub(super) stale: bool,
    /// The back-end is gone.
    pub(super) gone: bool,
}

impl PairService {
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
        let ends =
            Ends { queue: &mut self.rx, packets: self.packets.as_mut(), metrics: &self.shared.metrics };
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

    fn transmit(&mut self) {
        if self.tx.is_broken() {
            return;
        }
        self.view.refresh(&self.shared);
        let gate = Gate { link_up: self.view.link_up, pinned_mac: self.pinned_mac };
        if transmit::serve(&mut self.tx, self.packets.as_mut(), gate, &self.shared.metrics).is_err() {
            self.shared.metrics.broken_queues.increment();
        }
    }
}

impl Service for PairService {
    fn begin(&mut self, watches: &Watches) {
        if self.gone {
            return;
        }
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
    }

    fn ready(&mut self, _token: u32, watches: &Watches) {
        self.receive(watches);
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
