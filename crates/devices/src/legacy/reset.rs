// SPDX-License-Identifier: Apache-2.0
//! The reset control register at 0xCF9 (Intel ICH9 data sheet §13.7.5). A byte, at offset 0.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::power::{GuestSignal, GuestSignals};
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

/// `RST_CPU`: a change from 0 to 1 resets.
const RST_CPU: u8 = 1 << 2;
/// `SYS_RST` and `FULL_RST` are kept; all kinds of reset are one here.
const KEPT: u8 = 1 << 1 | 1 << 3;

const KIND: &str = "reset-control";
const VERSION: u32 = 1;

/// The register.
pub struct ResetControl {
    signals: Arc<dyn GuestSignals>,
    value: AtomicU8,
    resets: Counter,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetState {
    value: u8,
}

impl ResetControl {
    /// A register that reports resets to `signals`.
    pub fn new(signals: Arc<dyn GuestSignals>) -> Self {
        Self { signals, value: AtomicU8::new(0), resets: Counter::default() }
    }
}

impl BusDevice for ResetControl {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(byte) = data.first_mut() {
            *byte = self.value.load(Ordering::SeqCst);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let (0, [value]) = (offset, data) else { return };
        self.value.store(value & KEPT, Ordering::SeqCst);
        if value & RST_CPU != 0 {
            self.resets.increment();
            self.signals.signal(GuestSignal::Reset);
        }
    }
}

impl Lifecycle for ResetControl {
    fn name(&self) -> &'static str {
        KIND
    }

    fn reset(&self) {
        self.value.store(0, Ordering::SeqCst);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &ResetState { value: self.value.load(Ordering::SeqCst) })
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let ResetState { value } = state.unpack(KIND, VERSION)?;
        if value & !KEPT != 0 {
            return Err(StateError::Impossible { kind: KIND, field: "value" });
        }
        self.value.store(value, Ordering::SeqCst);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("resets", self.resets.get())]
    }
}

#[cfg(test)]
mod tests {
    use flotilla_testing::signals::FakeSignals;

    use super::*;

    #[test]
    fn resets_on_the_cpu_bit() {
        let signals = Arc::new(FakeSignals::default());
        let control = ResetControl::new(signals.clone());
        control.write(0, &[2]);
        assert_eq!(signals.take(), []);
        control.write(0, &[6]);
        assert_eq!(signals.take(), [GuestSignal::Reset]);
        assert_eq!(control.metrics(), [("resets", 1)]);
        crate::declared::assert_declared("reset-control", &control.metrics());
        let mut value = [0; 1];
        control.read(0, &mut value);
        assert_eq!(value, [2]);
    }

    #[test]
    fn restores_what_it_saved_and_refuses_nonsense() {
        let signals = Arc::new(FakeSignals::default());
        let control = ResetControl::new(signals.clone());
        control.write(0, &[10]);
        let mut state = control.save().unwrap();
        let other = ResetControl::new(signals);
        other.restore(&state).unwrap();
        assert_eq!(other.save().unwrap(), state);
        state.fields["value"] = 6.into();
        assert!(other.restore(&state).is_err());
    }
}
