// SPDX-License-Identifier: Apache-2.0
//! A split virtqueue as a device sees it (virtio 1.2 §2.7).
//!
//! A device serves a queue in rounds:
//!
//! ```text
//!   disable_notifications ─▶ pop … complete … pop … complete ─▶ publish ─▶ enable_notifications
//!           ▲                                                                    │ more waits
//!           └────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`DeviceQueue::serve`] is that loop for a device whose requests end at once. Completions become visible to the
//! driver with `publish`: one index update and at most one interrupt for the whole batch.

use std::num::Wrapping;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use flotilla_device_model::virtio::{ActiveQueue, VirtioInterrupt};
use flotilla_memory::{GuestAddress, GuestMemory, Window};
use virtio_queue::{Queue, QueueState, QueueT};
use vmm_sys_util::eventfd::EventFd;

use super::chain::{Chain, QueueError, Walker};

/// `VIRTIO_F_INDIRECT_DESC` as a mask (virtio 1.2 §6).
pub const F_INDIRECT_DESC: u64 = 1 << 28;
/// `VIRTIO_F_EVENT_IDX` as a mask (virtio 1.2 §6).
pub const F_EVENT_IDX: u64 = 1 << 29;
/// The ring features that every device served by [`DeviceQueue`] may offer.
pub const RING_FEATURES: u64 = F_INDIRECT_DESC | F_EVENT_IDX;

/// `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const AVAIL_F_NO_INTERRUPT: u16 = 1;
/// `VIRTQ_USED_F_NO_NOTIFY`.
const USED_F_NO_NOTIFY: u16 = 1;

/// A queue that is being served. Belongs to one thread.
///
/// After the first [`QueueError`] the queue is broken: the device's interrupt is told `needs_reset` once, and
/// `pop` gives nothing any more.
pub struct DeviceQueue {
    index: u16,
    queue: Queue,
    rings: Rings,
    doorbell: Arc<EventFd>,
    memory: Arc<GuestMemory>,
    interrupt: Arc<dyn VirtioInterrupt>,
    indirect: bool,
    in_flight: Vec<bool>,
    in_flight_count: u16,
    completed: Wrapping<u16>,
    /// `used.idx` at the last decision about an interrupt; `None` right after activation, which then interrupts.
    announced: Option<Wrapping<u16>>,
    broken: bool,
}

impl DeviceQueue {
    /// Takes over queue `index` of an activation. `features` are the negotiated ones.
    pub fn new(
        index: u16,
        active: ActiveQueue,
        memory: Arc<GuestMemory>,
        features: u64,
        interrupt: Arc<dyn VirtioInterrupt>,
    ) -> Self {
        let ActiveQueue { mut queue, doorbell } = active;
        queue.set_event_idx(features & F_EVENT_IDX != 0);
        let in_flight = vec![false; usize::from(queue.size())];
        let completed = Wrapping(queue.next_used());
        let rings = Rings::new(&queue, &memory);
        Self {
            index,
            queue,
            rings,
            doorbell,
            memory,
            interrupt,
            indirect: features & F_INDIRECT_DESC != 0,
            in_flight,
            in_flight_count: 0,
            completed,
            announced: None,
            broken: false,
        }
    }

    /// Index of the queue in its device.
    pub fn index(&self) -> u16 {
        self.index
    }

    /// Entries in the queue.
    pub fn size(&self) -> u16 {
        self.queue.size()
    }

    /// The machine's RAM.
    pub fn memory(&self) -> &Arc<GuestMemory> {
        &self.memory
    }

    /// The eventfd that the driver's doorbell signals.
    pub fn doorbell(&self) -> &Arc<EventFd> {
        &self.doorbell
    }

    /// Chains popped and not completed.
    pub fn in_flight(&self) -> u16 {
        self.in_flight_count
    }

    /// Whether the guest broke the queue. It stays so until the device is reset.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Positions and addresses, for saving. Only whole while nothing is in flight and all is published.
    pub fn state(&self) -> QueueState {
        self.queue.state()
    }

    /// Chains that the driver made available and that were not popped.
    pub fn waiting(&mut self) -> Result<u16, QueueError> {
        let available = self.available();
        let available = self.checked(available)?;
        Ok((available - Wrapping(self.queue.next_avail())).0)
    }

    /// The next chain the driver made available, if any.
    pub fn pop(&mut self) -> Result<Option<Chain>, QueueError> {
        if self.broken {
            return Ok(None);
        }
        let result = self.try_pop();
        self.checked(result)
    }

    /// Marks a chain as used with `written` bytes in its writable part. The driver sees it after `publish`.
    pub fn complete(&mut self, head: u16, written: u32) -> Result<(), QueueError> {
        let result = self.try_complete(head, written);
        self.checked(result)
    }

    /// Gives chains back unused: `pop` will find them again. They must be the ones popped last, in the order of their
    /// popping, and none of them completed.
    pub fn put_back(&mut self, heads: &[u16]) {
        for &head in heads.iter().rev() {
            if self.in_flight.get(usize::from(head)) == Some(&true) {
                self.set_in_flight(head, false);
                self.queue.set_next_avail(self.queue.next_avail().wrapping_sub(1));
            }
        }
    }

    /// Shows the driver all chains completed since the last call and interrupts it once if it asked for that.
    pub fn publish(&mut self) -> Result<(), QueueError> {
        if self.broken || self.completed.0 == self.queue.next_used() {
            return Ok(());
        }
        let result = self.try_publish();
        if self.checked(result)? {
            self.interrupt.signal_queue(self.index);
        }
        Ok(())
    }

    /// Asks the driver to ring no doorbell for now. Only a hint: doorbells may still come.
    pub fn disable_notifications(&mut self) -> Result<(), QueueError> {
        if self.broken || self.queue.event_idx_enabled() {
            return Ok(());
        }
        let result = self.rings.used.store(0, USED_F_NO_NOTIFY);
        self.checked(result)
    }

    /// Asks the driver to ring again. `true`: chains came meanwhile without a doorbell, go on popping.
    pub fn enable_notifications(&mut self) -> Result<bool, QueueError> {
        if self.broken {
            return Ok(false);
        }
        let result = self.try_enable_notifications();
        self.checked(result)
    }

    /// Whether the driver has made chains available that were not popped yet.
    pub fn is_waiting(&self) -> bool {
        !self.broken && self.available().is_ok_and(|available| available.0 != self.queue.next_avail())
    }

    /// Rings the doorbell ourselves, so that the worker comes back after serving others.
    pub fn reschedule(&self) {
        // A full counter means that the doorbell rings already.
        let _ = self.doorbell.write(1);
    }

    /// Serves the queue with a `handle` that finishes a chain at once and returns the bytes it wrote.
    ///
    /// A driver that refills without end gets one queue's worth of chains; then the doorbell is rung again, so
    /// that other queues, pause and stop have their turn. Returns the number of chains served.
    pub fn serve(
        &mut self,
        handle: impl FnMut(&Chain, &GuestMemory) -> Result<u32, QueueError>,
    ) -> Result<u16, QueueError> {
        self.serve_while(|| true, handle)
    }

    /// The same as long as `open` says that the next chain may begin. When it does not, the driver need not ring any more:
    /// whoever closed comes back.
    pub fn serve_while(
        &mut self,
        mut open: impl FnMut() -> bool,
        mut handle: impl FnMut(&Chain, &GuestMemory) -> Result<u32, QueueError>,
    ) -> Result<u16, QueueError> {
        let memory = Arc::clone(&self.memory);
        let mut served = 0;
        loop {
            self.disable_notifications()?;
            while served < self.size() {
                if !open() && self.is_waiting() {
                    self.publish()?;
                    return Ok(served);
                }
                let Some(chain) = self.pop()? else { break };
                let result = handle(&chain, &memory);
                let written = self.checked(result)?;
                self.complete(chain.head, written)?;
                served += 1;
            }
            if self.rests(served)? {
                return Ok(served);
            }
        }
    }

    /// Publishes what was completed. `true`: that is all for now, the driver rings when there is more, or the doorbell rings
    /// already after a queue's worth of chains. `false`: more came meanwhile, go on popping.
    pub fn rests(&mut self, served: u16) -> Result<bool, QueueError> {
        self.publish()?;
        if !self.enable_notifications()? {
            return Ok(true);
        }
        let full = served >= self.size();
        if full {
            self.reschedule();
        }
        Ok(full)
    }

    /// The next chain. With `None` all that was completed is published, and the driver rings when there is one.
    pub fn pop_or_rest(&mut self) -> Result<Option<Chain>, QueueError> {
        loop {
            if let Some(chain) = self.pop()? {
                return Ok(Some(chain));
            }
            self.publish()?;
            if !self.enable_notifications()? {
                return Ok(None);
            }
        }
    }

    /// Breaks the queue for a fault that only the device can see (a request that makes no sense at all).
    pub fn mark_broken(&mut self) {
        if !self.broken {
            self.broken = true;
            self.interrupt.needs_reset();
        }
    }

    fn checked<T>(&mut self, result: Result<T, QueueError>) -> Result<T, QueueError> {
        if let Err(error) = &result {
            tracing::debug!(queue = self.index, %error, "queue is broken");
            self.mark_broken();
        }
        result
    }

    fn try_pop(&mut self) -> Result<Option<Chain>, QueueError> {
        let size = self.queue.size();
        let waiting = self.available()? - Wrapping(self.queue.next_avail());
        if waiting.0 == 0 {
            return Ok(None);
        }
        if waiting.0 > size {
            return Err(QueueError::AvailableJump { by: waiting.0, size });
        }
        // Pairs with the driver's barrier between filling the ring and moving the index.
        fence(Ordering::Acquire);
        let slot = self.queue.next_avail() % size;
        let head = self.rings.available.load(4 + 2 * usize::from(slot))?;
        match self.in_flight.get(usize::from(head)) {
            None => return Err(QueueError::Index { index: head, size }),
            Some(true) => return Err(QueueError::InFlight { head }),
            Some(false) => {}
        }
        let table = self.rings.descriptors.window.as_ref();
        let walker = Walker {
            memory: &self.memory,
            table: self.queue.desc_table(),
            window: table,
            size,
            indirect: self.indirect,
        };
        let chain = walker.walk(head)?;
        self.set_in_flight(head, true);
        self.queue.set_next_avail(self.queue.next_avail().wrapping_add(1));
        Ok(Some(chain))
    }

    fn try_complete(&mut self, head: u16, written: u32) -> Result<(), QueueError> {
        if self.in_flight.get(usize::from(head)) != Some(&true) {
            return Err(QueueError::InFlight { head });
        }
        let slot = usize::from(self.completed.0 % self.queue.size());
        self.rings.used.write_element(4 + 8 * slot, head, written)?;
        self.set_in_flight(head, false);
        self.completed += 1;
        Ok(())
    }

    fn try_publish(&mut self) -> Result<bool, QueueError> {
        // The elements must be visible before the index that announces them.
        fence(Ordering::Release);
        self.rings.used.store(2, self.completed.0)?;
        self.queue.set_next_used(self.completed.0);
        // The index must be visible before we look whether the driver wants an interrupt.
        fence(Ordering::SeqCst);
        self.wants_interrupt()
    }

    fn wants_interrupt(&mut self) -> Result<bool, QueueError> {
        let new = self.completed;
        let old = self.announced.replace(new);
        if !self.queue.event_idx_enabled() {
            let flags = self.rings.available.load(0)?;
            return Ok(flags & AVAIL_F_NO_INTERRUPT == 0);
        }
        let offset = 4 + 2 * usize::from(self.queue.size());
        let used_event = Wrapping(self.rings.available.load(offset)?);
        Ok(old.is_none_or(|old| new - used_event - Wrapping(1) < new - old))
    }

    fn try_enable_notifications(&mut self) -> Result<bool, QueueError> {
        if self.queue.event_idx_enabled() {
            let offset = 4 + 8 * usize::from(self.queue.size());
            self.rings.used.store(offset, self.queue.next_avail())?;
        } else {
            self.rings.used.store(0, 0)?;
        }
        // Our wish must be visible before we look again: else a chain could come in between, unseen.
        fence(Ordering::SeqCst);
        Ok(self.available()?.0 != self.queue.next_avail())
    }

    fn available(&self) -> Result<Wrapping<u16>, QueueError> {
        self.rings.available.load(2).map(Wrapping)
    }

    fn set_in_flight(&mut self, head: u16, value: bool) {
        if let Some(slot) = self.in_flight.get_mut(usize::from(head)) {
            *slot = value;
            self.in_flight_count = if value {
                self.in_flight_count.saturating_add(1)
            } else {
                self.in_flight_count.saturating_sub(1)
            };
        }
    }
}

/// The three parts of a queue, each looked up once.
struct Rings {
    descriptors: Ring,
    available: Ring,
    used: Ring,
}

impl Rings {
    fn new(queue: &Queue, memory: &Arc<GuestMemory>) -> Self {
        let entries = usize::from(queue.size());
        let ring = |address, len| Ring { address, window: Window::new(memory, GuestAddress(address), len) };
        Self {
            descriptors: ring(queue.desc_table(), 16 * entries),
            available: ring(queue.avail_ring(), 6 + 2 * entries),
            used: ring(queue.used_ring(), 6 + 8 * entries),
        }
    }
}

struct Ring {
    address: u64,
    /// `None` for one that is not in RAM.
    window: Option<Window>,
}

impl Ring {
    fn load(&self, offset: usize) -> Result<u16, QueueError> {
        let value = self.window.as_ref().and_then(|window| window.load_u16(offset));
        value.map(u16::from_le).ok_or_else(|| self.fault(offset))
    }

    fn store(&self, offset: usize, value: u16) -> Result<(), QueueError> {
        let stored = self.window.as_ref().and_then(|window| window.store_u16(offset, value.to_le()));
        stored.ok_or_else(|| self.fault(offset))
    }

    /// Writes an element of the used ring.
    fn write_element(&self, offset: usize, head: u16, written: u32) -> Result<(), QueueError> {
        let pair = [u32::from(head).to_le(), written.to_le()];
        let stored = self.window.as_ref().and_then(|window| window.write_pair(offset, pair));
        stored.ok_or_else(|| self.fault(offset))
    }

    fn fault(&self, offset: usize) -> QueueError {
        QueueError::Ring { address: self.address.saturating_add(offset as u64) }
    }
}
