// SPDX-License-Identifier: Apache-2.0
//! The panic notifier (ISA form, ACPI device QEMU0001): one port that a guest kernel writes when it dies.

use std::sync::Arc;

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::power::{GuestSignal, GuestSignals};
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

/// Event bit: the kernel panicked and stays dead.
const PANICKED: u8 = 1 << 0;
/// Event bit: the kernel panicked and a crash kernel takes over; it will collect a dump and reboot by itself.
const CRASH_LOADED: u8 = 1 << 1;

const KIND: &str = "pvpanic";
const VERSION: u32 = 1;

/// The port.
pub struct PvPanic {
    signals: Arc<dyn GuestSignals>,
    panics: Counter,
    crash_kernels: Counter,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PvPanicState {}

impl PvPanic {
    /// A port that reports panics to `signals`.
    pub fn new(signals: Arc<dyn GuestSignals>) -> Self {
        Self { signals, panics: Counter::default(), crash_kernels: Counter::default() }
    }
}

impl BusDevice for PvPanic {
    /// Tells the guest which events are understood.
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(byte) = data.first_mut() {
            *byte = PANICKED | CRASH_LOADED;
        }
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        let events = data.first().copied().unwrap_or(0);
        if events & PANICKED != 0 {
            self.panics.increment();
            self.signals.signal(GuestSignal::Panic);
        } else if events & CRASH_LOADED != 0 {
            self.crash_kernels.increment();
        }
    }
}

impl Lifecycle for PvPanic {
    fn name(&self) -> &'static str {
        KIND
    }

    fn reset(&self) {}

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &PvPanicState {})
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        state.unpack::<PvPanicState>(KIND, VERSION).map(|_| ())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("panics", self.panics.get()), ("crash_kernels", self.crash_kernels.get())]
    }
}

#[cfg(test)]
mod tests {
    use flotilla_testing::signals::FakeSignals;

    use super::*;

    #[test]
    fn reports_a_panic_and_leaves_a_crash_kernel_to_itself() {
        let signals = Arc::new(FakeSignals::default());
        let port = PvPanic::new(signals.clone());
        let mut supported = [0; 1];
        port.read(0, &mut supported);
        assert_eq!(supported, [3]);
        port.write(0, &[2]);
        assert_eq!(signals.take(), []);
        port.write(0, &[1]);
        assert_eq!(signals.take(), [GuestSignal::Panic]);
        assert_eq!(port.metrics(), [("panics", 1), ("crash_kernels", 1)]);
        crate::declared::assert_declared("pvpanic", &port.metrics());
    }

    #[test]
    fn has_nothing_to_save_and_takes_nothing_else() {
        let port = PvPanic::new(Arc::new(FakeSignals::default()));
        let mut state = port.save().unwrap();
        port.restore(&state).unwrap();
        state.fields = serde_json::json!({ "surprise": 1 });
        assert!(port.restore(&state).is_err());
    }
}
