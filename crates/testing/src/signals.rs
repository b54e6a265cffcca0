// SPDX-License-Identifier: Apache-2.0
//! Records what a guest asked of its machine.

use std::sync::Mutex;

use flotilla_device_model::power::{GuestSignal, GuestSignals};

/// Keeps the signals in order.
#[derive(Default)]
pub struct FakeSignals(Mutex<Vec<GuestSignal>>);

impl FakeSignals {
    /// The signals since the last call.
    pub fn take(&self) -> Vec<GuestSignal> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl GuestSignals for FakeSignals {
    fn signal(&self, signal: GuestSignal) {
        self.0.lock().unwrap().push(signal);
    }
}
