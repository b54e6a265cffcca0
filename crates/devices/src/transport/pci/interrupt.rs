// SPDX-License-Identifier: Apache-2.0
//! How the device reaches its driver: ISR bits, MSI-X vectors, `DEVICE_NEEDS_RESET`. Shared with the device's
//! threads, so it never takes a lock of the transport.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::virtio::VirtioInterrupt;
use vmm_sys_util::eventfd::EventFd;

use super::metrics::PciMetrics;
use crate::pci::msix::Msix;
use crate::transport::queues::NO_VECTOR;

/// ISR bit 0: used buffers (virtio 1.2 §4.1.4.5).
const ISR_QUEUE: u8 = 1;
/// ISR bit 1: configuration change.
const ISR_CONFIG: u8 = 2;

pub struct Interrupts {
    msix: Mutex<Msix>,
    isr: AtomicU8,
    generation: AtomicU8,
    needs_reset: AtomicBool,
    config_vector: AtomicU16,
    queue_vectors: Vec<AtomicU16>,
    /// Queues whose eventfd was handed out: their vectors stay until the reset.
    lent: Vec<AtomicBool>,
    metrics: Arc<PciMetrics>,
}

impl Interrupts {
    pub fn new(msix: Msix, queues: usize, metrics: Arc<PciMetrics>) -> Self {
        Self {
            msix: Mutex::new(msix),
            isr: AtomicU8::new(0),
            generation: AtomicU8::new(0),
            needs_reset: AtomicBool::new(false),
            config_vector: AtomicU16::new(NO_VECTOR),
            queue_vectors: (0..queues).map(|_| AtomicU16::new(NO_VECTOR)).collect(),
            lent: (0..queues).map(|_| AtomicBool::new(false)).collect(),
            metrics,
        }
    }

    pub fn msix(&self) -> MutexGuard<'_, Msix> {
        self.msix.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ISR status; reading clears it.
    pub fn take_isr(&self) -> u8 {
        self.isr.swap(0, Ordering::SeqCst)
    }

    /// The ISR status without clearing it.
    pub fn isr(&self) -> u8 {
        self.isr.load(Ordering::SeqCst)
    }

    pub fn generation(&self) -> u8 {
        self.generation.load(Ordering::SeqCst)
    }

    pub fn is_reset_needed(&self) -> bool {
        self.needs_reset.load(Ordering::SeqCst)
    }

    pub fn config_vector(&self) -> u16 {
        self.config_vector.load(Ordering::SeqCst)
    }

    /// Takes a vector of the driver. One that does not exist becomes `NO_VECTOR`, which the driver reads back.
    pub fn set_config_vector(&self, vector: u16) {
        self.config_vector.store(self.existing(vector), Ordering::SeqCst);
    }

    pub fn queue_vector(&self, queue: u16) -> u16 {
        self.queue_vectors.get(usize::from(queue)).map_or(NO_VECTOR, |vector| vector.load(Ordering::SeqCst))
    }

    /// The same for a queue. One whose eventfd was handed out keeps what it has.
    pub fn set_queue_vector(&self, queue: u16, vector: u16) {
        let lent = self.lent.get(usize::from(queue)).is_some_and(|lent| lent.load(Ordering::SeqCst));
        if let Some(slot) = self.queue_vectors.get(usize::from(queue)).filter(|_| !lent) {
            slot.store(self.existing(vector), Ordering::SeqCst);
        }
    }

    /// As after a device reset. Message control and the table stay.
    pub fn reset(&self) {
        self.restore(0, 0, false);
        self.config_vector.store(NO_VECTOR, Ordering::SeqCst);
        for (vector, lent) in self.queue_vectors.iter().zip(&self.lent) {
            vector.store(NO_VECTOR, Ordering::SeqCst);
            lent.store(false, Ordering::SeqCst);
        }
        self.msix().clear_pending();
    }

    /// Takes over saved values.
    pub fn restore(&self, isr: u8, generation: u8, needs_reset: bool) {
        self.isr.store(isr & (ISR_QUEUE | ISR_CONFIG), Ordering::SeqCst);
        self.generation.store(generation, Ordering::SeqCst);
        self.needs_reset.store(needs_reset, Ordering::SeqCst);
    }

    /// Whether a driver could have set this vector.
    pub fn is_vector(&self, vector: u16) -> bool {
        vector == self.existing(vector)
    }

    fn existing(&self, vector: u16) -> u16 {
        if vector < self.msix().count() { vector } else { NO_VECTOR }
    }
}

impl VirtioInterrupt for Interrupts {
    fn signal_queue(&self, queue: u16) {
        self.isr.fetch_or(ISR_QUEUE, Ordering::SeqCst);
        self.metrics.queue_interrupts.increment();
        self.msix().trigger(self.queue_vector(queue));
    }

    fn queue_event(&self, queue: u16) -> Option<EventFd> {
        let event = self.msix().event(self.queue_vector(queue))?;
        self.lent.get(usize::from(queue))?.store(true, Ordering::SeqCst);
        Some(event)
    }

    fn signal_config(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.isr.fetch_or(ISR_CONFIG, Ordering::SeqCst);
        self.metrics.config_interrupts.increment();
        self.msix().trigger(self.config_vector());
    }

    fn needs_reset(&self) {
        if !self.needs_reset.swap(true, Ordering::SeqCst) {
            self.metrics.needs_resets.increment();
            self.signal_config();
        }
    }
}
