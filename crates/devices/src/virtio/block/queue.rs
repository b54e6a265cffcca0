// SPDX-License-Identifier: Apache-2.0
//! The disk at work.
//!
//! ```text
//!   doorbell ─▶ pop ─▶ parse ─▶ submit ─┐ kick once per batch
//!                        │ refused      ▼
//!                        │          back-end ─▶ completion event ─▶ reap ─┐
//!                        └──────────────────────────────────────────▶ answer ─▶ publish once per batch
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flotilla_device_model::block::{BlockQueue, Completion, Operation, Request};
use flotilla_memory::{Bytes, GuestMemory};
use virtio_queue::QueueState;

use super::config::Facts;
use super::device::{Alarm, Shared};
use super::metrics::BlockMetrics;
use super::pace::Pace;
use super::request::{
    Action, Answer, BlockRequest, Geometry, ID_LEN, Kind, bytes_of_ranges, bytes_of_segments,
};
use crate::virtio::chain::{Chain, QueueError};
use crate::virtio::limiter::Limiter;
use crate::virtio::queue::DeviceQueue;
use crate::virtio::worker::{Service, Watches};

const VIRTIO_BLK_S_OK: u8 = 0;
const VIRTIO_BLK_S_IOERR: u8 = 1;
const VIRTIO_BLK_S_UNSUPP: u8 = 2;

/// What is the same for all requests of an activation.
pub(super) struct Setting {
    pub(super) facts: Facts,
    /// Whether the content lies in the host's memory.
    pub(super) in_memory: bool,
    pub(super) serial: [u8; ID_LEN],
    /// Rung for writes that wait for space on the host; without it they fail.
    pub(super) alarm: Option<Alarm>,
    /// Whether the driver can flush. If it cannot, every write has to be durable when it ends (virtio 1.2 §5.2.6.2).
    pub(super) can_flush: bool,
    pub(super) shared: Arc<Shared>,
}

impl Setting {
    fn metrics(&self) -> &BlockMetrics {
        &self.shared.metrics
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            size: self.shared.size.load(Ordering::Relaxed),
            read_only: self.facts.read_only,
            block_size: self.facts.block_size,
            can_discard: self.facts.can_discard,
        }
    }

    fn write_through(&self) -> bool {
        !self.can_flush || !self.shared.write_cache.load(Ordering::Relaxed)
    }
}

/// A request the back-end works on. The back-end's token is the head of its chain.
#[derive(Clone)]
struct Pending {
    kind: Kind,
    answer: Answer,
    /// What to try again if the host has no space for it.
    again: Option<Box<Operation>>,
    /// The write itself is done, its flush runs.
    flushing: Option<u64>,
}

/// Serves the request queue.
pub struct BlockService {
    queue: DeviceQueue,
    disk: Box<dyn BlockQueue>,
    setting: Setting,
    /// By head.
    pending: Vec<Option<Pending>>,
    done: Vec<Completion>,
    /// Requests that wait for space on the host, with their heads; no more than the queue has.
    held: Vec<(u16, Pending)>,
    pace: Pace,
    limiter: Limiter,
    /// Whether the thread has begun.
    begun: bool,
    /// Bytes moved in the present round.
    moved: u64,
    /// Bytes that the requests of the present round speak of.
    asked: u64,
    /// When to look whether there is time for what the back-end has put off.
    tidy: Option<Instant>,
    /// Whether requests came since that was set.
    busy: bool,
}

/// So long no request came before the back-end may do what it has put off.
const QUIET: Duration = Duration::from_millis(20);

/// Bytes after which a round ends, whatever still waits: a pause, a stop and the guest's other work on this thread are not
/// to wait for terabytes that a driver asks for at once.
const ROUND: u64 = 64 << 20;

/// Chains after which a round shows the driver what is done: it need not wait for the whole of a long one.
const SHOW_EVERY: u16 = 64;

impl BlockService {
    pub(super) fn new(
        queue: DeviceQueue,
        disk: Box<dyn BlockQueue>,
        setting: Setting,
        limiter: Limiter,
    ) -> Self {
        let pending = vec![None; usize::from(queue.size())];
        Self {
            queue,
            disk,
            setting,
            pending,
            done: Vec::new(),
            held: Vec::new(),
            pace: Pace::default(),
            limiter,
            begun: false,
            moved: 0,
            asked: 0,
            tidy: None,
            busy: false,
        }
    }

    /// Gives the back-end's queue back for the next activation.
    pub(super) fn into_disk(self) -> Box<dyn BlockQueue> {
        self.disk
    }

    /// Has the thread look at its limits again.
    pub(super) fn recheck(&self) {
        self.queue.reschedule();
    }

    /// Requests were served: what the back-end has put off waits until there are none for a while.
    fn note_leftovers(&mut self) {
        self.busy = true;
        if self.tidy.is_none() && self.disk.has_leftovers() {
            self.tidy = Some(Instant::now() + QUIET);
        }
    }

    /// Has the back-end do a little of what it has put off, if no request came.
    fn tidy(&mut self, now: Instant) {
        if self.tidy.is_none_or(|due| due > now) {
            return;
        }
        let quiet = !std::mem::take(&mut self.busy);
        // What fails is for the next flush to report.
        let goes_on = !quiet || self.disk.tidy().is_ok();
        let wait = if quiet { Duration::ZERO } else { QUIET };
        self.tidy = (goes_on && self.disk.has_leftovers()).then(|| now + wait);
    }

    /// Takes all that waits and may begin, at most one queue's worth of chains and not much more than [`ROUND`] bytes, and returns how
    /// many chains there were.
    fn serve(&mut self) -> Result<u16, QueueError> {
        let mut taken = 0;
        self.moved = 0;
        self.asked = 0;
        loop {
            self.queue.disable_notifications()?;
            while taken < self.queue.size() && self.asked < ROUND {
                if !self.limiter.is_open() && self.queue.is_waiting() {
                    // The driver need not ring: the thread comes back by itself.
                    self.setting.metrics().throttle_waits.increment();
                    self.kick();
                    self.reap()?;
                    return Ok(taken);
                }
                let Some(chain) = self.queue.pop()? else { break };
                taken += 1;
                self.start(&chain)?;
                if taken.is_multiple_of(SHOW_EVERY) {
                    self.kick();
                    self.reap()?;
                }
            }
            self.kick();
            self.reap()?;
            if !self.queue.enable_notifications()? {
                return Ok(taken);
            }
            if taken >= self.queue.size() || self.asked >= ROUND {
                self.queue.reschedule();
                return Ok(taken);
            }
        }
    }

    fn start(&mut self, chain: &Chain) -> Result<(), QueueError> {
        let memory = Arc::clone(self.queue.memory());
        let Some(request) = BlockRequest::parse(chain, &memory, self.setting.geometry())? else {
            self.queue.mark_broken();
            self.setting.metrics().broken_queues.increment();
            return Ok(());
        };
        let BlockRequest { action, answer } = request;
        let kind = action.kind();
        self.limiter.charge(action.bytes());
        let pending = Pending { kind, answer, again: None, flushing: None };
        match action {
            Action::Read { offset, segments } => {
                self.submit(chain.head, pending, Operation::Read { offset, segments })
            }
            Action::Write { offset, segments } => {
                self.submit(chain.head, pending, Operation::Write { offset, segments })
            }
            Action::Flush => self.submit(chain.head, pending, Operation::Flush),
            Action::Discard(ranges) => self.submit(chain.head, pending, Operation::Discard(ranges)),
            Action::WriteZeroes(ranges) => self.submit(chain.head, pending, Operation::WriteZeroes(ranges)),
            Action::GetId => {
                chain.write(&memory, 0, &self.setting.serial)?;
                self.answer(chain.head, &pending, VIRTIO_BLK_S_OK, ID_LEN as u64)
            }
            Action::Unsupported(request_type) => {
                tracing::trace!(request_type, "unknown request");
                self.answer(chain.head, &pending, VIRTIO_BLK_S_UNSUPP, 0)
            }
            Action::UnknownFlag(_) => self.answer(chain.head, &pending, VIRTIO_BLK_S_UNSUPP, 0),
            Action::Refused(_) => self.answer(chain.head, &pending, VIRTIO_BLK_S_IOERR, 0),
        }
    }

    fn submit(&mut self, head: u16, mut pending: Pending, operation: Operation) -> Result<(), QueueError> {
        self.asked = self.asked.saturating_add(bytes_of(&operation));
        // Also what only changes tables of an image, and what brings them to its file.
        let takes_space = !matches!(operation, Operation::Read { .. });
        pending.again = (takes_space && self.setting.alarm.is_some()).then(|| Box::new(operation.clone()));
        let memory = Arc::clone(self.queue.memory());
        let request = Request { token: u64::from(head), memory, operation };
        match self.disk.submit(request) {
            Ok(()) => {
                if let Some(slot) = self.pending.get_mut(usize::from(head)) {
                    *slot = Some(pending);
                }
                Ok(())
            }
            Err(error) => {
                self.report(&error);
                self.answer(head, &pending, VIRTIO_BLK_S_IOERR, 0)
            }
        }
    }

    /// Starts what was submitted. If that fails, requests are in an unknown state: only a reset helps.
    fn kick(&mut self) {
        let result = self.disk.kick();
        self.survive(result);
    }

    /// Answers what the back-end finished and shows it to the driver.
    fn reap(&mut self) -> Result<(), QueueError> {
        let mut done = std::mem::take(&mut self.done);
        loop {
            let result = self.disk.reap(&mut done);
            self.survive(result);
            // A back-end without an event has finished the flushes that were just started.
            if !self.finish_all(&mut done)? {
                break;
            }
        }
        self.done = done;
        self.queue.publish()
    }

    /// Answers finished requests. Returns whether flushes were started that must follow some of them.
    fn finish_all(&mut self, done: &mut Vec<Completion>) -> Result<bool, QueueError> {
        let mut flushes = false;
        for completion in done.drain(..) {
            flushes |= self.finish(completion)?;
        }
        if flushes {
            self.kick();
        }
        Ok(flushes)
    }

    /// Answers one request, or starts the flush that must follow; `true` in that case.
    fn finish(&mut self, completion: Completion) -> Result<bool, QueueError> {
        let head = u16::try_from(completion.token).unwrap_or(u16::MAX);
        let Some(pending) = self.pending.get_mut(usize::from(head)).and_then(Option::take) else {
            return Ok(false);
        };
        match (completion.result, pending.flushing) {
            (Ok(moved), None)
                if matches!(pending.kind, Kind::Write | Kind::WriteZeroes)
                    && self.setting.write_through() =>
            {
                let pending = Pending { flushing: Some(moved), ..pending };
                self.submit(head, pending, Operation::Flush)?;
                return Ok(true);
            }
            (Err(error), _) if is_full(&error) && pending.again.is_some() => self.hold(head, pending),
            (Ok(_), Some(moved)) | (Ok(moved), None) => {
                self.answer(head, &pending, VIRTIO_BLK_S_OK, moved)?;
            }
            (Err(error), _) => {
                self.report(&error);
                self.answer(head, &pending, VIRTIO_BLK_S_IOERR, 0)?;
            }
        }
        Ok(false)
    }

    /// Keeps a request until the machine was paused and goes on.
    fn hold(&mut self, head: u16, pending: Pending) {
        self.held.push((head, pending));
        self.setting.shared.held.fetch_add(1, Ordering::SeqCst);
        self.setting.metrics().space_waits.increment();
        if let Some(alarm) = &self.setting.alarm {
            alarm.ring();
        }
    }

    /// Tries again what waited for space.
    fn retry(&mut self) -> Result<(), QueueError> {
        for (head, mut pending) in std::mem::take(&mut self.held) {
            self.setting.shared.held.fetch_sub(1, Ordering::SeqCst);
            if let Some(operation) = pending.again.take() {
                self.submit(head, pending, *operation)?;
            }
        }
        self.kick();
        self.reap()
    }

    /// Writes the status and gives the chain back. `moved` bytes of data were read, written or given.
    fn answer(&mut self, head: u16, pending: &Pending, status: u8, moved: u64) -> Result<(), QueueError> {
        let &Pending { kind, answer, .. } = pending;
        self.moved = self.moved.saturating_add(moved);
        self.count(kind, status == VIRTIO_BLK_S_OK, moved);
        let memory: &GuestMemory = self.queue.memory();
        let written = memory.write_obj(status, answer.status);
        written.map_err(|_| QueueError::Buffer { address: answer.status.0, len: 1 })?;
        let data = if matches!(kind, Kind::Read | Kind::GetId) { moved } else { 0 };
        self.queue.complete(head, answer.used_len(u32::try_from(data).unwrap_or(0)))
    }

    fn count(&self, kind: Kind, good: bool, moved: u64) {
        let metrics = self.setting.metrics();
        let (requests, bytes, errors) = match kind {
            Kind::Read => (&metrics.read_requests, Some(&metrics.read_bytes), &metrics.read_errors),
            Kind::Write => (&metrics.write_requests, Some(&metrics.write_bytes), &metrics.write_errors),
            Kind::Flush => (&metrics.flush_requests, None, &metrics.flush_errors),
            Kind::Discard => (&metrics.discard_requests, None, &metrics.discard_errors),
            Kind::WriteZeroes => (&metrics.zero_requests, None, &metrics.zero_errors),
            Kind::GetId => (&metrics.id_requests, None, &metrics.id_errors),
            Kind::Unsupported => return metrics.unsupported_requests.increment(),
        };
        requests.increment();
        if !good {
            errors.increment();
        } else if let Some(bytes) = bytes {
            bytes.add(moved);
        }
    }

    /// A failing disk fails often: after the first message only each doubling of the count is worth one.
    fn report(&self, error: &io::Error) {
        let metrics = self.setting.metrics();
        let count = metrics.read_errors.get() + metrics.write_errors.get() + metrics.flush_errors.get() + 1;
        if count.is_power_of_two() {
            tracing::warn!(%error, count, "disk request failed");
        }
    }

    fn survive(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::error!(%error, "disk cannot take requests: the guest has to reset it");
            self.queue.mark_broken();
        }
    }

    /// Waits for everything in flight, and for the flushes that follow.
    fn finish_in_flight(&mut self) -> Result<(), QueueError> {
        // Also with nothing in flight: a back-end brings what it keeps in memory to its files.
        loop {
            let mut done = Vec::new();
            let drained = self.disk.drain(&mut done);
            self.setting.shared.unwritten.store(drained.is_err(), Ordering::SeqCst);
            match drained {
                Ok(()) => {}
                // All requests have ended. What the back-end still keeps it writes when there is space again.
                Err(error) if is_full(&error) && self.disk.in_flight() == 0 => {
                    tracing::warn!(%error, "no space for the tables of a disk image: they stay in memory");
                }
                Err(error) => {
                    self.survive(Err(error));
                    return Ok(());
                }
            }
            if done.is_empty() {
                break;
            }
            self.finish_all(&mut done)?;
            if self.disk.in_flight() == 0 {
                break;
            }
        }
        self.queue.publish()
    }

    fn note(&self, result: Result<(), QueueError>) {
        // The queue has asked for the reset itself.
        if result.is_err() {
            self.setting.metrics().broken_queues.increment();
        }
    }
}

/// How many bytes of the disk an operation speaks of.
fn bytes_of(operation: &Operation) -> u64 {
    match operation {
        Operation::Read { segments, .. } | Operation::Write { segments, .. } => bytes_of_segments(segments),
        Operation::Discard(ranges) | Operation::WriteZeroes(ranges) => bytes_of_ranges(ranges),
        Operation::Flush => 0,
    }
}

/// Whether the host has no space, or its owner none left.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

impl Service for BlockService {
    fn doorbell(&mut self, _queue: u16, _watches: &Watches) {
        if !self.begun {
            self.begun = true;
            self.disk.begin();
        }
        let result = self.serve();
        if let Ok(taken) = result {
            self.pace.thread_served(taken, self.moved);
            if taken > 0 {
                self.note_leftovers();
            }
        }
        self.note(result.map(drop));
    }

    fn doorbell_of_vcpu(&mut self, _queue: u16) -> bool {
        // What waits for a limit is the thread's, which comes back by itself.
        if !self.setting.in_memory || self.limiter.due().is_some() || !self.pace.is_for_vcpu() {
            return false;
        }
        let result = self.serve();
        self.setting.metrics().vcpu_rounds.increment();
        self.pace.vcpu_served(self.moved);
        self.note_leftovers();
        self.note(result.map(drop));
        true
    }

    fn resumed(&mut self) {
        if !self.held.is_empty() {
            let result = self.retry();
            self.note(result);
        }
    }

    fn ready(&mut self, _token: u32, _watches: &Watches) {
        let result = self.reap();
        self.note(result);
    }

    fn deadline(&self) -> Option<Instant> {
        [self.limiter.due(), self.tidy].into_iter().flatten().min()
    }

    fn tick(&mut self, watches: &Watches) {
        let now = Instant::now();
        if self.limiter.expire(now) {
            self.doorbell(self.queue.index(), watches);
        }
        self.tidy(now);
    }

    fn drain(&mut self) {
        let result = self.finish_in_flight();
        self.note(result);
    }

    fn queues(&self) -> Vec<(u16, QueueState)> {
        vec![(self.queue.index(), self.queue.state())]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64};

    use flotilla_device_model::block::BlockBackend;
    use flotilla_memory::GuestAddress;
    use flotilla_testing::disk::FakeDisk;
    use flotilla_testing::driver::{Buffer, FakeQueue};
    use flotilla_testing::interrupts::FakeVirtioInterrupt;
    use flotilla_testing::memory::guest_memory;

    use super::super::device::Shared;
    use super::*;

    const SIZE: u64 = 8 << 20;

    #[test]
    fn a_round_ends_before_a_driver_has_had_more_than_its_share() {
        let memory = guest_memory(0x10_0000);
        let mut rings = FakeQueue::new(&memory, 0x1000, 64);
        let disk = FakeDisk::new(vec![1; usize::try_from(SIZE).unwrap()], false);
        let shared = Shared {
            size: AtomicU64::new(SIZE),
            write_cache: AtomicBool::new(true),
            held: AtomicU64::new(0),
            unwritten: AtomicBool::new(false),
            metrics: BlockMetrics::default(),
        };
        let setting = Setting {
            facts: Facts { read_only: false, can_discard: true, block_size: 512, queues: 1 },
            in_memory: true,
            serial: [0; ID_LEN],
            alarm: None,
            can_flush: true,
            shared: Arc::new(shared),
        };
        // Zeroes for all of the disk, sixteen times in one request.
        memory.write_obj(13_u64.to_le(), GuestAddress(0x8000)).unwrap();
        for range in 0..16 {
            let place = 0x8010 + 16 * range;
            memory.write_obj(0_u64, GuestAddress(place)).unwrap();
            memory.write_obj((SIZE / 512).to_le(), GuestAddress(place + 8)).unwrap();
        }
        let active = rings.activate();
        let interrupt = Arc::<FakeVirtioInterrupt>::default();
        let queue = DeviceQueue::new(0, active, Arc::clone(&memory), 0, interrupt);
        let limiter = Limiter::new(Arc::default());
        let mut service = BlockService::new(queue, disk.open_queue(64).unwrap(), setting, limiter);
        for chain in 0..6 {
            rings.add(&[Buffer::Readable(0x8000, 272), Buffer::Writable(0xf000 + chain, 1)]);
        }
        for round in 0..6 {
            assert_eq!(service.serve().unwrap(), 1);
            let comes_back = service.queue.doorbell().read().is_ok();
            assert_eq!(comes_back, round < 5, "for what is left");
        }
        assert_eq!(service.serve().unwrap(), 0);
        assert!((0..6).all(|chain| memory.read_obj::<u8>(GuestAddress(0xf000 + chain)).unwrap() == 0));
    }
}
