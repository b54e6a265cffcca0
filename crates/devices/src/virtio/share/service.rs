// SPDX-License-Identifier: Apache-2.0
//! Watches over the process that serves the rings: starts and stops it, passes interrupts on where it cannot reach the driver
//! without help, and hears when it is gone.
//!
//! A driver whose back-end is gone waits for ever for what it asked for. It is told that the device needs a reset, and a reset
//! does not help: the device stays so until the machine is started anew.

use std::sync::Arc;

use flotilla_device_model::share::{ShareAlarm, ShareBackend};
use flotilla_device_model::virtio::VirtioInterrupt;
use flotilla_memory::GuestMemory;
use virtio_queue::QueueState;

use super::metrics::ShareMetrics;
use crate::virtio::served::{self, ERROR, RELAYED, ServedRing};
use crate::virtio::worker::{Service, Watches};

/// Token of the back-end.
pub(super) const BACKEND: u32 = 0;

/// Who is to know that the back-end is gone.
pub(super) struct Alarm {
    pub(super) device: String,
    pub(super) hearer: Option<Arc<dyn ShareAlarm>>,
    pub(super) metrics: ShareMetrics,
}

impl Alarm {
    /// Tells it, once in the life of the device.
    pub(super) fn lost(&self) {
        if self.metrics.losses.get() > 0 {
            return;
        }
        self.metrics.losses.increment();
        tracing::error!(device = self.device, "the process that serves a shared folder is gone");
        if let Some(hearer) = &self.hearer {
            hearer.share_lost(&self.device);
        }
    }
}

/// The thread beside the back-end.
pub struct ShareService {
    pub(super) backend: Arc<dyn ShareBackend>,
    pub(super) memory: Arc<GuestMemory>,
    pub(super) features: u64,
    pub(super) interrupt: Arc<dyn VirtioInterrupt>,
    pub(super) rings: Vec<ServedRing>,
    pub(super) alarm: Arc<Alarm>,
    /// The rings are being served.
    pub(super) started: bool,
}

impl ShareService {
    fn start(&mut self) {
        if self.started || self.backend.is_gone() || self.rings.iter().any(ServedRing::is_broken) {
            return;
        }
        let rings: Vec<_> = self.rings.iter().map(|ring| (ring.index(), ring.ring())).collect();
        if let Err(error) = self.backend.start(self.features, &self.memory, &rings) {
            tracing::error!(%error, "the rings of a shared folder cannot be served");
            return self.lose();
        }
        self.started = true;
        self.rings.iter().for_each(ServedRing::knock);
    }

    fn stop(&mut self) {
        self.started = false;
        let indices: Vec<_> = self.rings.iter().map(ServedRing::index).collect();
        match self.backend.stop(&indices) {
            Ok(positions) => {
                for (ring, position) in self.rings.iter_mut().zip(positions) {
                    ring.stopped_at(position, &self.memory);
                }
            }
            Err(error) => {
                tracing::error!(%error, "what serves a shared folder does not stop as it should");
                self.lose();
            }
        }
        // Not before the last one was stopped: the log may be read in between.
        served::mark_all_dirty(&self.memory);
    }

    fn lose(&mut self) {
        self.started = false;
        self.interrupt.needs_reset();
        self.alarm.lost();
    }

    fn ring_at(&mut self, index: u16) -> Option<&mut ServedRing> {
        self.rings.iter_mut().find(|ring| ring.index() == index)
    }
}

impl Service for ShareService {
    fn begin(&mut self, _watches: &Watches) {
        self.start();
    }

    fn doorbell(&mut self, queue: u16, _watches: &Watches) {
        if queue & RELAYED != 0 {
            let index = queue & !RELAYED;
            if self.ring_at(index).is_some_and(|ring| ring.called()) {
                self.alarm.metrics.interrupts.increment();
                self.interrupt.signal_queue(index);
            }
        } else if self.ring_at(queue & !ERROR).is_some_and(ServedRing::breaks) {
            self.alarm.metrics.broken_queues.increment();
            self.interrupt.needs_reset();
        }
    }

    fn ready(&mut self, _token: u32, watches: &Watches) {
        if !self.backend.is_gone() {
            return;
        }
        self.lose();
        if let Err(error) = watches.forget(BACKEND) {
            tracing::error!(%error, "cannot forget a back-end that is gone");
        }
    }

    fn drain(&mut self) {
        if self.started {
            self.stop();
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        self.rings.iter().map(ServedRing::position).collect()
    }
}
