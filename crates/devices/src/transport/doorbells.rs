// SPDX-License-Identifier: Apache-2.0
//! The doorbells of a device: an eventfd per queue, bound to the notify registers while the device is active and its
//! registers are mapped. At all other times, and when the host refuses, a doorbell arrives as an ordinary write.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use flotilla_device_model::metrics::Counter;
use flotilla_device_model::virtio::Doorbells;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// The address of a queue's doorbell when the registers are mapped at an address, and the value that rings it where all
/// queues share one.
pub type DoorbellPlace = fn(base: u64, queue: usize) -> (u64, Option<u32>);

#[derive(Default)]
struct Binding {
    base: Option<u64>,
    active: bool,
    /// Address of the registers that the first `count` doorbells are bound at.
    bound: Option<(u64, usize)>,
}

pub struct DoorbellSet {
    place: DoorbellPlace,
    doorbells: Arc<dyn Doorbells>,
    events: Vec<Arc<EventFd>>,
    binding: Mutex<Binding>,
    failures: Arc<Counter>,
}

impl DoorbellSet {
    pub fn new(
        count: usize,
        place: DoorbellPlace,
        doorbells: Arc<dyn Doorbells>,
        failures: Arc<Counter>,
    ) -> io::Result<Self> {
        let events =
            (0..count).map(|_| EventFd::new(EFD_NONBLOCK).map(Arc::new)).collect::<io::Result<_>>()?;
        Ok(Self { place, doorbells, events, binding: Mutex::new(Binding::default()), failures })
    }

    /// The eventfd of a queue.
    pub fn event(&self, queue: usize) -> Option<Arc<EventFd>> {
        self.events.get(queue).map(Arc::clone)
    }

    /// Does by hand what the host does for a bound doorbell; `false` when there is no such queue.
    pub fn ring(&self, queue: usize) -> bool {
        // A counter that is full rings already.
        self.events.get(queue).map(|event| event.write(1)).is_some()
    }

    /// The registers answer at `base` from now on.
    pub fn set_base(&self, base: Option<u64>) {
        self.change(|binding| binding.base = base);
    }

    /// The device serves its queues, or no longer does.
    pub fn set_active(&self, active: bool) {
        self.change(|binding| binding.active = active);
    }

    /// Forgets doorbells that nobody serves any more.
    pub fn clear(&self) {
        for event in &self.events {
            let _ = event.read();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Binding)) {
        let mut binding = self.binding.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut binding);
        let wanted = binding.base.filter(|_| binding.active);
        if wanted == binding.bound.map(|(base, _)| base) {
            return;
        }
        if let Some((base, count)) = binding.bound.take() {
            self.unbind(base, count);
        }
        if let Some(base) = wanted {
            binding.bound = Some((base, self.bind(base)));
        }
    }

    /// Binds all doorbells or none; their number.
    fn bind(&self, base: u64) -> usize {
        for (queue, event) in self.events.iter().enumerate() {
            let (address, value) = (self.place)(base, queue);
            if self.doorbells.attach(address, value, event).is_err() {
                self.failures.increment();
                self.unbind(base, queue);
                return 0;
            }
        }
        self.events.len()
    }

    fn unbind(&self, base: u64, count: usize) {
        for (queue, event) in self.events.iter().enumerate().take(count) {
            let (address, value) = (self.place)(base, queue);
            if self.doorbells.detach(address, value, event).is_err() {
                self.failures.increment();
            }
        }
    }
}

impl Drop for DoorbellSet {
    fn drop(&mut self) {
        self.set_active(false);
    }
}

#[cfg(test)]
mod tests {
    use flotilla_testing::doorbells::FakeDoorbells;

    use super::*;

    const NOTIFY: u64 = 0x50;

    fn place(base: u64, queue: usize) -> (u64, Option<u32>) {
        (base + NOTIFY + 4 * queue as u64, None)
    }

    #[test]
    fn binds_all_or_none() {
        let host = Arc::new(FakeDoorbells::default());
        let failures = Arc::new(Counter::default());
        let set = DoorbellSet::new(2, place, host.clone(), Arc::clone(&failures)).unwrap();
        host.refuse_from(Some(NOTIFY + 4));
        set.set_active(true);
        set.set_base(Some(0));
        assert!(host.addresses().is_empty());
        assert_eq!(failures.get(), 1);
        host.refuse_from(None);
        set.set_base(Some(0x1000));
        assert_eq!(host.addresses(), [0x1000 + NOTIFY, 0x1000 + NOTIFY + 4]);
        drop(set);
        assert!(host.addresses().is_empty());
    }
}
