// SPDX-License-Identifier: Apache-2.0
//! The entropy device at work: chain in, random bytes, used ring.

use std::sync::Arc;
use std::time::Instant;

use flotilla_memory::GuestMemory;
use virtio_queue::QueueState;

use super::metrics::RngMetrics;
use super::source::EntropySource;
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// Most bytes given for one request. A driver takes what it gets (virtio 1.2 §5.4.6). Without a limit, segments
/// that overlap would make a small guest ask for 4 GiB at once.
const MAX_REQUEST: u32 = 64 * 1024;
/// Bytes fetched from the source at a time.
const PIECE: u32 = 4096;

/// Serves the request queue.
pub struct RngService {
    queue: DeviceQueue,
    source: Arc<dyn EntropySource>,
    metrics: Arc<RngMetrics>,
    limiter: Limiter,
}

impl RngService {
    pub(super) fn new(
        queue: DeviceQueue,
        source: Arc<dyn EntropySource>,
        metrics: Arc<RngMetrics>,
        limiter: Limiter,
    ) -> Self {
        Self { queue, source, metrics, limiter }
    }

    /// Has the thread look at its limits again.
    pub(super) fn recheck(&self) {
        self.queue.reschedule();
    }
}

impl Service for RngService {
    fn doorbell(&mut self, _queue: u16, _watches: &Watches) {
        let Self { queue, source, metrics, limiter } = self;
        let served = limiter.serve(queue, &metrics.throttle_waits, |chain, memory| {
            let written = fill(chain, memory, source.as_ref(), metrics)?;
            limiter.charge(written.into());
            Ok(written)
        });
        if served.is_err() {
            metrics.broken_queues.increment();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.limiter.due()
    }

    fn tick(&mut self, watches: &Watches) {
        if self.limiter.expire(Instant::now()) {
            self.doorbell(self.queue.index(), watches);
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        vec![(self.queue.index(), self.queue.state())]
    }
}

/// Fills the writable part of a chain; the number of bytes written. A source that fails gives the driver fewer.
fn fill(
    chain: &Chain,
    memory: &GuestMemory,
    source: &dyn EntropySource,
    metrics: &RngMetrics,
) -> Result<u32, QueueError> {
    let wanted = chain.writable_len().min(MAX_REQUEST);
    let mut piece = [0; PIECE as usize];
    let mut written = 0;
    while written < wanted {
        let len = usize::try_from((wanted - written).min(PIECE)).unwrap_or_default();
        let piece = piece.get_mut(..len).unwrap_or_default();
        if source.fill(piece).is_err() {
            metrics.source_failures.increment();
            break;
        }
        chain.write(memory, written, piece)?;
        written += u32::try_from(len).unwrap_or_default();
    }
    metrics.requests.increment();
    metrics.bytes.add(u64::from(written));
    Ok(written)
}
