// SPDX-License-Identifier: Apache-2.0
//! How the device reaches its driver: status bits, one line, `DEVICE_NEEDS_RESET`. Shared with the device's threads,
//! so it never takes a lock of the transport.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::virtio::VirtioInterrupt;

use super::metrics::MmioMetrics;

/// Interrupt status bit 0: used buffers (virtio 1.2 §4.2.2).
const USED_BUFFERS: u32 = 1;
/// Interrupt status bit 1: configuration change.
const CONFIG_CHANGE: u32 = 2;

pub struct Interrupt {
    line: Arc<dyn InterruptLine>,
    status: AtomicU32,
    generation: AtomicU32,
    needs_reset: AtomicBool,
    metrics: Arc<MmioMetrics>,
}

impl Interrupt {
    pub fn new(line: Arc<dyn InterruptLine>, metrics: Arc<MmioMetrics>) -> Self {
        let (status, generation) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { line, status, generation, needs_reset: AtomicBool::new(false), metrics }
    }

    pub fn status(&self) -> u32 {
        self.status.load(Ordering::SeqCst)
    }

    /// The driver has seen these bits.
    pub fn acknowledge(&self, bits: u32) {
        self.status.fetch_and(!bits, Ordering::SeqCst);
    }

    pub fn generation(&self) -> u32 {
        self.generation.load(Ordering::SeqCst)
    }

    pub fn is_reset_needed(&self) -> bool {
        self.needs_reset.load(Ordering::SeqCst)
    }

    /// As after a device reset.
    pub fn reset(&self) {
        self.restore(0, 0, false);
    }

    /// Takes over saved values.
    pub fn restore(&self, status: u32, generation: u32, needs_reset: bool) {
        self.status.store(status & (USED_BUFFERS | CONFIG_CHANGE), Ordering::SeqCst);
        self.generation.store(generation, Ordering::SeqCst);
        self.needs_reset.store(needs_reset, Ordering::SeqCst);
    }

    fn raise(&self, bits: u32) {
        // Before the edge: the driver must find the bits when the interrupt arrives.
        self.status.fetch_or(bits, Ordering::SeqCst);
        self.line.pulse();
    }
}

impl VirtioInterrupt for Interrupt {
    fn signal_queue(&self, _queue: u16) {
        self.metrics.queue_interrupts.increment();
        self.raise(USED_BUFFERS);
    }

    fn signal_config(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.metrics.config_interrupts.increment();
        self.raise(CONFIG_CHANGE);
    }

    fn needs_reset(&self) {
        if !self.needs_reset.swap(true, Ordering::SeqCst) {
            self.metrics.needs_resets.increment();
            self.signal_config();
        }
    }
}
