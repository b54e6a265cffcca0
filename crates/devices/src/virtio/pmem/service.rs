// SPDX-License-Identifier: Apache-2.0
//! The one request there is: make durable what was written.

use std::sync::Arc;

use flotilla_device_model::pmem::PersistentMemory;
use flotilla_memory::GuestMemory;
use virtio_queue::QueueState;

use super::metrics::PmemMetrics;
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// `VIRTIO_PMEM_REQ_TYPE_FLUSH` (virtio 1.2 §5.19.6).
const FLUSH: u32 = 0;
/// `VIRTIO_PMEM_RESP_TYPE_OK`.
const OK: u32 = 0;
/// `VIRTIO_PMEM_RESP_TYPE_EIO`.
const EIO: u32 = 1;
/// Bytes of a request, and of an answer.
const WORD: u32 = 4;

/// Serves the request queue.
pub struct PmemService {
    queue: DeviceQueue,
    /// What is behind memory that the guest may write.
    file: Option<Arc<dyn PersistentMemory>>,
    metrics: Arc<PmemMetrics>,
}

impl PmemService {
    pub(super) fn new(
        queue: DeviceQueue,
        file: Option<Arc<dyn PersistentMemory>>,
        metrics: Arc<PmemMetrics>,
    ) -> Self {
        Self { queue, file, metrics }
    }

    /// Answers what waits, a queue's worth at most: then others have their turn.
    fn serve(&mut self) -> Result<(), QueueError> {
        let mut served = 0;
        loop {
            self.queue.disable_notifications()?;
            served += self.serve_batch()?;
            if self.queue.rests(served)? {
                return Ok(());
            }
        }
    }

    /// Answers what waits now. One flush of the host does for all of it: each was asked for before it begins.
    fn serve_batch(&mut self) -> Result<u16, QueueError> {
        let memory = Arc::clone(self.queue.memory());
        let (mut batch, mut flushes) = (Vec::new(), 0);
        while batch.len() < usize::from(self.queue.size()) {
            let Some(chain) = self.queue.pop()? else { break };
            if chain.writable_len() < WORD {
                // Nobody could be told how it ended.
                self.metrics.unsupported_requests.increment();
                self.queue.mark_broken();
                return Ok(0);
            }
            let wanted = is_flush(&chain, &memory)?;
            flushes += u64::from(wanted);
            batch.push((chain, wanted));
        }
        let outcome = if flushes > 0 { self.flush(flushes) } else { EIO };
        let count = u16::try_from(batch.len()).unwrap_or(u16::MAX);
        for (chain, wanted) in batch {
            if !wanted {
                self.metrics.unsupported_requests.increment();
            }
            let answer = if wanted { outcome } else { EIO };
            chain.write(&memory, 0, &answer.to_le_bytes())?;
            self.queue.complete(chain.head, WORD)?;
        }
        Ok(count)
    }

    fn flush(&self, requests: u64) -> u32 {
        self.metrics.flush_requests.add(requests);
        let Some(file) = &self.file else { return OK };
        match file.flush() {
            Ok(()) => OK,
            Err(error) => {
                tracing::debug!(%error, "a flush of persistent memory failed");
                self.metrics.flush_errors.add(requests);
                EIO
            }
        }
    }
}

fn is_flush(chain: &Chain, memory: &GuestMemory) -> Result<bool, QueueError> {
    let mut kind = [0; WORD as usize];
    let read = chain.read(memory, 0, &mut kind)?;
    Ok(read == kind.len() && u32::from_le_bytes(kind) == FLUSH)
}

impl Service for PmemService {
    fn doorbell(&mut self, _queue: u16, _watches: &Watches) {
        let broken_before = self.queue.is_broken();
        // An error broke the queue as well.
        let _ = self.serve();
        if self.queue.is_broken() && !broken_before {
            self.metrics.broken_queues.increment();
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        vec![(self.queue.index(), self.queue.state())]
    }
}
