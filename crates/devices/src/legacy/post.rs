// SPDX-License-Identifier: Apache-2.0
//! Port 0x80: firmware writes progress codes, kernels write it to wait a microsecond. The last code is kept.

use std::sync::atomic::{AtomicU8, Ordering};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

const KIND: &str = "post-code";
const VERSION: u32 = 1;

/// The port.
#[derive(Default)]
pub struct PostCode(AtomicU8);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PostState {
    code: u8,
}

impl BusDevice for PostCode {
    fn read(&self, _offset: u64, data: &mut [u8]) {
        data.fill(self.0.load(Ordering::Relaxed));
    }

    fn write(&self, _offset: u64, data: &[u8]) {
        if let Some(code) = data.first() {
            self.0.store(*code, Ordering::Relaxed);
        }
    }
}

impl Lifecycle for PostCode {
    fn name(&self) -> &'static str {
        KIND
    }

    fn reset(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &PostState { code: self.0.load(Ordering::Relaxed) })
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let PostState { code } = state.unpack(KIND, VERSION)?;
        self.0.store(code, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_code_across_saving() {
        let port = PostCode::default();
        port.write(0, &[0x42]);
        let mut state = port.save().unwrap();
        let other = PostCode::default();
        other.restore(&state).unwrap();
        let mut code = [0; 1];
        other.read(0, &mut code);
        assert_eq!(code, [0x42]);
        state.fields["code"] = 256.into();
        assert!(other.restore(&state).is_err());
    }
}
