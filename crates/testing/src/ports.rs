// SPDX-License-Identifier: Apache-2.0
//! The host's end of a console port, for tests.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flotilla_device_model::console::{PortHost, TerminalSize, Wake};

#[derive(Default)]
struct State {
    input: VecDeque<u8>,
    output: Vec<u8>,
    open: bool,
    size: Option<TerminalSize>,
    full: bool,
    wake: Option<Wake>,
}

/// A port whose other end is a test.
#[derive(Default)]
pub struct FakePort(Mutex<State>);

impl FakePort {
    /// Sends input, and whatever else changes, and wakes the device.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let wake = state.wake.clone();
        drop(state);
        if let Some(wake) = wake {
            wake();
        }
    }

    /// Input for the guest.
    pub fn send(&self, bytes: &[u8]) {
        self.change(|state| state.input.extend(bytes));
    }

    /// Comes or goes.
    pub fn open(&self, open: bool) {
        self.change(|state| state.open = open);
    }

    /// Has another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.change(|state| state.size = Some(TerminalSize { columns, rows }));
    }

    /// Has no room for output, or has it again.
    pub fn fill(&self, full: bool) {
        self.change(|state| state.full = full);
    }

    /// What the guest wrote.
    pub fn output(&self) -> Vec<u8> {
        self.state().output.clone()
    }

    /// Bytes of input that the guest has not taken.
    pub fn waiting(&self) -> usize {
        self.state().input.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PortHost for FakePort {
    fn take_input(&self, buffer: &mut [u8]) -> usize {
        let mut state = self.state();
        let len = buffer.len().min(state.input.len());
        for (place, byte) in buffer.iter_mut().zip(state.input.drain(..len)) {
            *place = byte;
        }
        len
    }

    fn has_input(&self) -> bool {
        !self.state().input.is_empty()
    }

    fn drop_stale_input(&self) {
        let mut state = self.state();
        if !state.open {
            state.input.clear();
        }
    }

    fn has_room(&self, _len: usize) -> bool {
        !self.state().full
    }

    fn write_output(&self, bytes: &[u8]) {
        self.state().output.extend(bytes);
    }

    fn is_open(&self) -> bool {
        self.state().open
    }

    fn size(&self) -> Option<TerminalSize> {
        self.state().size
    }

    fn watch(&self, wake: Wake) {
        self.state().wake = Some(wake);
    }
}
