// SPDX-License-Identifier: Apache-2.0
//! The thread of the network interface: which event leads to which queue.
//!
//! A back-end that is ready while the driver has no buffer would wake the thread without end. So the thread listens
//! to the back-end only while there are buffers, and to the receive doorbell only while there are none.

use std::sync::Arc;

use flotilla_device_model::net::PacketBackend;
use virtio_queue::QueueState;

use super::metrics::NetMetrics;
use super::receive::{Next, Receiver};
use super::transmit;
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// Index of the receive queue (virtio 1.2 §5.1.2).
pub(super) const RECEIVEQ: u16 = 0;
/// Index of the transmit queue.
pub(super) const TRANSMITQ: u16 = 1;
/// Token of the back-end.
pub(super) const BACKEND: u32 = 0;

/// Serves both queues.
pub struct NetService {
    pub(super) rx: DeviceQueue,
    pub(super) tx: DeviceQueue,
    pub(super) receiver: Receiver,
    pub(super) backend: Arc<dyn PacketBackend>,
    pub(super) metrics: Arc<NetMetrics>,
    /// What the thread listens to; `None` once the back-end is gone.
    pub(super) listening: Option<bool>,
}

impl NetService {
    fn receive(&mut self, watches: &Watches) {
        let Some(listening) = self.listening else { return };
        if self.rx.is_broken() {
            return;
        }
        let next = self.receiver.serve(&mut self.rx, self.backend.as_ref(), &self.metrics);
        if self.rx.is_broken() {
            self.metrics.broken_queues.increment();
        }
        let wanted = match next {
            Ok(Next::Frame) => !self.rx.is_broken(),
            Ok(Next::Buffer) | Err(_) => false,
            Ok(Next::Nothing) => {
                self.listening = None;
                if let Err(error) = watches.forget(BACKEND) {
                    tracing::error!(%error, "cannot forget a back-end that is gone");
                }
                return;
            }
        };
        if wanted != listening {
            match watches.enable(BACKEND, wanted) {
                Ok(()) => self.listening = Some(wanted),
                Err(error) => tracing::error!(%error, wanted, "cannot change what the thread listens to"),
            }
        }
    }

    fn transmit(&mut self) {
        if self.tx.is_broken() {
            return;
        }
        if transmit::serve(&mut self.tx, self.backend.as_ref(), &self.metrics).is_err() {
            self.metrics.broken_queues.increment();
        }
    }
}

impl Service for NetService {
    fn doorbell(&mut self, queue: u16, watches: &Watches) {
        if queue == RECEIVEQ {
            self.receive(watches);
        } else {
            self.transmit();
        }
    }

    fn ready(&mut self, _token: u32, watches: &Watches) {
        self.receive(watches);
    }

    fn drain(&mut self) {
        self.receiver.put_back(&mut self.rx);
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        vec![(self.rx.index(), self.rx.state()), (self.tx.index(), self.tx.state())]
    }
}
