// SPDX-License-Identifier: Apache-2.0
//! Interrupts that are counted instead of delivered.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use flotilla_device_model::interrupt::{InterruptLine, MsiMessage, MsiVector, MsiVectors};
use flotilla_device_model::virtio::VirtioInterrupt;
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// A wired line: remembers its level and counts rising edges.
#[derive(Default)]
pub struct FakeLine {
    high: AtomicBool,
    edges: AtomicU64,
}

impl FakeLine {
    /// Whether the line is high.
    pub fn is_high(&self) -> bool {
        self.high.load(Ordering::SeqCst)
    }

    /// Rising edges so far.
    pub fn edges(&self) -> u64 {
        self.edges.load(Ordering::SeqCst)
    }
}

impl InterruptLine for FakeLine {
    fn set_level(&self, high: bool) {
        if !self.high.swap(high, Ordering::SeqCst) && high {
            self.edges.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A virtio interrupt without a transport.
#[derive(Default)]
pub struct FakeVirtioInterrupt {
    queues: Mutex<Vec<u64>>,
    config: AtomicU64,
    needs_reset: AtomicBool,
}

impl FakeVirtioInterrupt {
    /// How often queue `index` was signalled.
    pub fn queue(&self, index: u16) -> u64 {
        self.queues.lock().unwrap().get(usize::from(index)).copied().unwrap_or(0)
    }

    /// How often a configuration change was signalled.
    pub fn config(&self) -> u64 {
        self.config.load(Ordering::SeqCst)
    }

    /// Whether the device asked for a reset.
    pub fn is_reset_needed(&self) -> bool {
        self.needs_reset.load(Ordering::SeqCst)
    }
}

impl VirtioInterrupt for FakeVirtioInterrupt {
    fn signal_queue(&self, queue: u16) {
        let mut queues = self.queues.lock().unwrap();
        let index = usize::from(queue);
        if queues.len() <= index {
            queues.resize(index + 1, 0);
        }
        queues[index] += 1;
    }

    fn signal_config(&self) {
        self.config.fetch_add(1, Ordering::SeqCst);
    }

    fn needs_reset(&self) {
        self.needs_reset.store(true, Ordering::SeqCst);
    }
}

/// One MSI-X vector: enforces the order of `MsiVector` and records messages.
#[derive(Default)]
pub struct FakeMsiVector {
    state: Mutex<VectorState>,
}

#[derive(Default)]
struct VectorState {
    message: Option<MsiMessage>,
    unmasked: bool,
    delivered: Vec<MsiMessage>,
    lost: u64,
    fail: bool,
    /// What others may signal.
    event: Option<EventFd>,
}

impl VectorState {
    /// Whether somebody else signalled since the last look.
    fn signalled(&self) -> bool {
        self.event.as_ref().is_some_and(|event| event.read().is_ok())
    }
}

impl FakeMsiVector {
    /// Messages that reached the guest since the last call.
    pub fn take_delivered(&self) -> Vec<MsiMessage> {
        std::mem::take(&mut self.state.lock().unwrap().delivered)
    }

    /// Triggers that came while masked: with a correct holder there are none.
    pub fn lost(&self) -> u64 {
        self.state.lock().unwrap().lost
    }

    /// Where messages go now.
    pub fn message(&self) -> Option<MsiMessage> {
        self.state.lock().unwrap().message
    }

    /// Whether triggers reach the guest.
    pub fn is_unmasked(&self) -> bool {
        self.state.lock().unwrap().unmasked
    }

    /// Lets `route` and `unmask` fail from now on.
    pub fn fail(&self, fail: bool) {
        self.state.lock().unwrap().fail = fail;
    }
}

impl MsiVector for FakeMsiVector {
    fn route(&self, message: MsiMessage) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.fail {
            return Err(io::Error::other("made to fail"));
        }
        state.message = Some(message);
        Ok(())
    }

    fn unmask(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        if state.fail {
            return Err(io::Error::other("made to fail"));
        }
        assert!(state.message.is_some(), "unmask before the first route");
        state.unmasked = true;
        if state.signalled() {
            let message = state.message;
            state.delivered.extend(message);
        }
        Ok(())
    }

    fn mask(&self) -> io::Result<()> {
        self.state.lock().unwrap().unmasked = false;
        Ok(())
    }

    fn trigger(&self) {
        let mut state = self.state.lock().unwrap();
        match (state.unmasked, state.message) {
            (true, Some(message)) => state.delivered.push(message),
            _ => state.lost += 1,
        }
    }

    fn event(&self) -> Option<io::Result<EventFd>> {
        let mut state = self.state.lock().unwrap();
        let event = state.event.get_or_insert_with(|| EventFd::new(EFD_NONBLOCK).unwrap());
        Some(event.try_clone())
    }

    fn take_waiting(&self) -> bool {
        let state = self.state.lock().unwrap();
        !state.unmasked && state.signalled()
    }
}

/// Hands out [`FakeMsiVector`]s and keeps them for the test to look at.
#[derive(Default)]
pub struct FakeMsi {
    vectors: Mutex<Vec<Arc<FakeMsiVector>>>,
}

impl FakeMsi {
    /// The vector created as number `index`.
    pub fn vector(&self, index: usize) -> Arc<FakeMsiVector> {
        Arc::clone(&self.vectors.lock().unwrap()[index])
    }

    /// Vectors created so far.
    pub fn len(&self) -> usize {
        self.vectors.lock().unwrap().len()
    }

    /// Whether none was created.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl MsiVectors for FakeMsi {
    fn create(&self) -> io::Result<Arc<dyn MsiVector>> {
        let vector = Arc::new(FakeMsiVector::default());
        self.vectors.lock().unwrap().push(Arc::clone(&vector));
        Ok(vector)
    }
}
