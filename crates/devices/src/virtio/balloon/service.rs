// SPDX-License-Identifier: Apache-2.0
//! The thread of the balloon.
//!
//! The driver leaves one buffer of statistics with the device. To have new ones the device gives it back, and it comes again
//! with new numbers (virtio 1.2 §5.5.6.3).
//!
//! A driver may let its guest use a hinted page before the device has seen the hint (§5.5.6.5.1). Who gave such a page back
//! to the host would take it from whoever has it then. Linux gives none away before its doorbell has returned, so the vCPU
//! answers the doorbell of this queue itself, and nobody asks the driver to ring none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flotilla_device_model::block::Segment;
use flotilla_memory::{GuestAddress, GuestMemory, release};
use virtio_queue::QueueState;

use super::frames::{self, PAGE};
use super::metrics::BalloonMetrics;
use super::shared::Shared;
use super::statistics::Statistics;
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

/// What a queue of the driver is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Inflate,
    Deflate,
    Statistics,
    Hints,
    Reporting,
}

/// The buffer of statistics that the device holds.
#[derive(Default)]
struct Held {
    head: Option<u16>,
    /// It was put back for a pause, so that what comes next is known already.
    known: bool,
}

/// Serves the queues of a driver.
pub struct BalloonService {
    queues: Vec<(Role, DeviceQueue)>,
    shared: Arc<Shared>,
    held: Held,
    /// Between two times that the driver is asked for statistics without anybody's wish.
    interval: Option<Duration>,
    due: Option<Instant>,
}

impl BalloonService {
    pub(super) fn new(
        queues: Vec<(Role, DeviceQueue)>,
        shared: Arc<Shared>,
        interval: Option<Duration>,
    ) -> Self {
        let due = interval.map(|interval| Instant::now() + interval);
        Self { queues, shared, held: Held::default(), interval, due }
    }

    fn serve(&mut self, index: u16) -> Result<(), QueueError> {
        let Self { queues, shared, held, .. } = self;
        let Some((role, queue)) = queues.iter_mut().find(|(_, queue)| queue.index() == index) else {
            return Ok(());
        };
        let metrics = &shared.metrics;
        match role {
            Role::Inflate => queue.serve(|chain, memory| inflate(chain, memory, metrics)).map(drop),
            Role::Deflate => queue.serve(|chain, _| Ok(deflate(chain, metrics))).map(drop),
            Role::Reporting => {
                // What is not zero to begin with would be missed by its guest (virtio 1.2 §5.5.6.7.2).
                let filled = shared.config().poison_val != 0;
                let report = |chain: &Chain, memory: &GuestMemory| {
                    let bytes = if filled { 0 } else { give_unused_back(chain, memory, metrics) };
                    metrics.reported_bytes.add(bytes);
                    Ok(0)
                };
                queue.serve(report).map(drop)
            }
            Role::Statistics => take_statistics(queue, shared, held),
            Role::Hints => take_hints(queue, shared),
        }
    }

    /// Asks for new statistics, if the driver has left a buffer.
    fn ask(&mut self) -> Result<(), QueueError> {
        let found = self.queues.iter_mut().find(|(role, _)| *role == Role::Statistics);
        match (found, self.held.head.take()) {
            (Some((_, queue)), Some(head)) => {
                queue.complete(head, 0)?;
                queue.publish()
            }
            _ => Ok(()),
        }
    }

    fn note(&self, served: Result<(), QueueError>) {
        if served.is_err() {
            self.shared.metrics.broken_queues.increment();
        }
    }
}

impl Service for BalloonService {
    fn doorbell_of_vcpu(&mut self, index: u16) -> bool {
        let known = |(role, queue): &(Role, DeviceQueue)| *role == Role::Hints && queue.index() == index;
        let is_hint = self.queues.iter().any(known);
        if is_hint {
            let served = self.serve(index);
            self.note(served);
        }
        is_hint
    }

    fn doorbell(&mut self, queue: u16, _watches: &Watches) {
        let served = self.serve(queue);
        self.note(served);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn tick(&mut self, _watches: &Watches) {
        self.due = self.interval.map(|interval| Instant::now() + interval);
        let asked = self.ask();
        self.note(asked);
    }

    fn drain(&mut self) {
        if let Some(head) = self.held.head.take() {
            for (_, queue) in self.queues.iter_mut().filter(|(role, _)| *role == Role::Statistics) {
                queue.put_back(&[head]);
                self.held.known = true;
            }
        }
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        self.queues.iter().map(|(_, queue)| (queue.index(), queue.state())).collect()
    }
}

/// The pages of a chain go back to the host.
fn inflate(chain: &Chain, memory: &GuestMemory, metrics: &BalloonMetrics) -> Result<u32, QueueError> {
    let (frames, more) = frames::read(chain, memory)?;
    let named = u64::from(chain.readable_len() / 4) - u64::from(more);
    let mut known = 0;
    for range in frames::ranges(&frames) {
        let (address, len) = (GuestAddress(range.start), range.end - range.start);
        known += give_back(memory, address, len, metrics).map_or(0, |bytes| {
            metrics.released_bytes.add(bytes);
            bytes / PAGE
        });
    }
    metrics.inflated_pages.add(known);
    metrics.ignored_pages.add(u64::from(more) + named.saturating_sub(known));
    Ok(0)
}

/// Pages that the guest uses again come by themselves, one by one.
fn deflate(chain: &Chain, metrics: &BalloonMetrics) -> u32 {
    metrics.deflated_pages.add(u64::from((chain.readable_len() / 4).min(frames::MAX_FRAMES)));
    0
}

/// What nobody in the guest uses goes back to the host; the bytes of it. The driver waits for the end of it before somebody
/// does.
fn give_unused_back(chain: &Chain, memory: &GuestMemory, metrics: &BalloonMetrics) -> u64 {
    let given = chain
        .writable
        .iter()
        .filter_map(|Segment { address, len }| give_back(memory, *address, u64::from(*len), metrics));
    given.fold(0, u64::saturating_add)
}

/// Takes ids and ranges of a round of hints, and never asks the driver to ring no doorbell.
fn take_hints(queue: &mut DeviceQueue, shared: &Shared) -> Result<(), QueueError> {
    let memory = Arc::clone(queue.memory());
    let mut taken = 0;
    loop {
        while taken < queue.size() {
            let Some(chain) = queue.pop()? else { break };
            take_hint(&chain, &memory, shared).inspect_err(|_| queue.mark_broken())?;
            queue.complete(chain.head, 0)?;
            taken += 1;
        }
        if queue.rests(taken)? {
            return Ok(());
        }
    }
}

fn take_hint(chain: &Chain, memory: &GuestMemory, shared: &Shared) -> Result<(), QueueError> {
    let mut id = [0; 4];
    if chain.read(memory, 0, &mut id)? == id.len() {
        shared.hint_said(u32::from_le_bytes(id));
    }
    if !chain.writable.is_empty() {
        let filled = shared.config().poison_val != 0;
        let release = || if filled { 0 } else { give_unused_back(chain, memory, &shared.metrics) };
        shared.hint_named(release);
    }
    Ok(())
}

fn give_back(memory: &GuestMemory, address: GuestAddress, len: u64, metrics: &BalloonMetrics) -> Option<u64> {
    match release(memory, address, len) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            tracing::debug!(%error, "kernel does not take guest memory back");
            metrics.refused_ranges.increment();
            None
        }
    }
}

/// Takes the buffers that came. One is kept until somebody wants to know more; a driver that sends several has those before
/// the last one back at once.
fn take_statistics(queue: &mut DeviceQueue, shared: &Shared, held: &mut Held) -> Result<(), QueueError> {
    let memory = Arc::clone(queue.memory());
    let mut taken = 0;
    loop {
        while taken < queue.size() {
            let Some(chain) = queue.pop()? else { break };
            let told = Statistics::read(&chain, &memory).inspect_err(|_| queue.mark_broken())?;
            if !std::mem::take(&mut held.known) {
                shared.tell(told);
            }
            if let Some(before) = held.head.replace(chain.head) {
                queue.complete(before, 0)?;
            }
            taken += 1;
        }
        if held.head.is_some()
            && shared.take_wish()
            && let Some(head) = held.head.take()
        {
            queue.complete(head, 0)?;
        }
        if queue.rests(taken)? {
            return Ok(());
        }
    }
}
