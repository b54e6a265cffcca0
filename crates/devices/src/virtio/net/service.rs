// SPDX-License-Identifier: Apache-2.0
//! A thread of the network interface: it serves one pair of queues, or watches over a back-end that serves all of them
//! by itself. The first thread serves the control queue as well.

use std::time::Instant;

use virtio_queue::QueueState;

use super::pair::PairService;
use super::rings::RingService;
use crate::virtio::worker::{Service, Watches};

/// What a thread does.
pub enum NetService {
    /// Moves the frames of one pair.
    Pair(Box<PairService>),
    /// Watches over rings that are served elsewhere.
    Rings(Box<RingService>),
}

impl NetService {
    /// Has the thread look at its limits again. Rings that are served elsewhere have none.
    pub(super) fn recheck(&self) {
        if let Self::Pair(pair) = self {
            pair.recheck();
        }
    }

    fn inner(&mut self) -> &mut dyn Service {
        match self {
            Self::Pair(pair) => pair.as_mut(),
            Self::Rings(rings) => rings.as_mut(),
        }
    }
}

impl Service for NetService {
    fn begin(&mut self, watches: &Watches) {
        self.inner().begin(watches);
    }

    fn doorbell(&mut self, queue: u16, watches: &Watches) {
        self.inner().doorbell(queue, watches);
    }

    fn ready(&mut self, token: u32, watches: &Watches) {
        self.inner().ready(token, watches);
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Pair(pair) => pair.deadline(),
            Self::Rings(_) => None,
        }
    }

    fn tick(&mut self, watches: &Watches) {
        self.inner().tick(watches);
    }

    fn drain(&mut self) {
        self.inner().drain();
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        match self {
            Self::Pair(pair) => pair.queues(),
            Self::Rings(rings) => rings.queues(),
        }
    }
}
