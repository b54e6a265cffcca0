// SPDX-License-Identifier: Apache-2.0
//! The registers.

use std::sync::Arc;

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::power::GuestSignals;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::threads::DeviceThreads;

use super::countdown::{Countdown, MAX_COUNT, MIN_COUNT, Registers};
use super::state::{KIND, VERSION, WatchdogState};
use crate::legacy::clock::Clock;

/// Ports of the device.
pub const WATCHDOG_LEN: u64 = 0x10;

const RELOAD: u64 = 0x0;
const CONTROL: u64 = 0x1;
const STATUS: u64 = 0x3;
const COUNT: u64 = 0x4;

/// Control: the watchdog runs.
const RUNNING: u8 = 1;
/// Reload and status: the one bit they have.
const SET: u8 = 1;

/// What the guest is told that follows the end of a countdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// A reset of the machine.
    Reset,
    /// The machine is switched off.
    PowerOff,
    /// Neither.
    Other,
}

/// The watchdog.
pub struct Watchdog {
    countdown: Countdown,
    expiry: Expiry,
    reloads: Counter,
}

impl Watchdog {
    /// A watchdog by the time of `clock` that tells `signals` when a countdown is over, which then see to `expiry`.
    pub fn new(clock: Arc<dyn Clock>, signals: Arc<dyn GuestSignals>, expiry: Expiry) -> Self {
        Self { countdown: Countdown::new(KIND, clock, signals), expiry, reloads: Counter::default() }
    }

    /// This device, with its thread watched by `threads`.
    #[must_use]
    pub fn watched_by(mut self, threads: Arc<dyn DeviceThreads>) -> Self {
        self.countdown.watch(threads);
        self
    }

    #[cfg(test)]
    pub(super) fn countdown(&self) -> &Countdown {
        &self.countdown
    }

    /// The register file, four bytes in a row.
    fn image(&self) -> [[u8; 4]; 3] {
        let registers = self.countdown.registers();
        let action = match self.expiry {
            Expiry::Reset => 0,
            Expiry::PowerOff => 1,
            Expiry::Other => 2,
        };
        let flags = [0, registers.running.into(), action, registers.status.into()];
        [flags, registers.count.to_le_bytes(), registers.counts_left().to_le_bytes()]
    }

    fn write_byte(&self, registers: &mut Registers, offset: u64, byte: u8) {
        match offset {
            RELOAD if byte & SET != 0 => {
                self.reloads.increment();
                registers.reload();
            }
            CONTROL => {
                registers.running = byte & RUNNING != 0;
                registers.reload();
            }
            STATUS if byte & SET != 0 => registers.status = false,
            _ => {}
        }
    }
}

impl BusDevice for Watchdog {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let image = self.image();
        for (at, byte) in (offset..).zip(data) {
            let found = usize::try_from(at).ok().and_then(|at| image.as_flattened().get(at));
            *byte = found.copied().unwrap_or(0);
        }
    }

    /// The count is taken as a whole only, and brought into its range. It holds from the next reload on.
    fn write(&self, offset: u64, data: &[u8]) {
        self.countdown.change(|registers| {
            if let (COUNT, Ok(count)) = (offset, data.try_into()) {
                registers.count = u32::from_le_bytes(count).clamp(MIN_COUNT, MAX_COUNT);
                return;
            }
            for (at, byte) in (offset..).zip(data) {
                self.write_byte(registers, at, *byte);
            }
        });
    }
}

impl Lifecycle for Watchdog {
    fn name(&self) -> &'static str {
        KIND
    }

    fn pause(&self) {
        self.countdown.pause();
    }

    fn resume(&self) {
        self.countdown.resume();
    }

    /// Stops the watchdog; what stays is whether this reset is its own.
    fn reset(&self) {
        self.countdown.change(|registers| {
            let status = registers.expired && self.expiry == Expiry::Reset;
            *registers = Registers { status, ..Registers::default() };
        });
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &WatchdogState::from(self.countdown.registers()))
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let restored = Registers::try_from(state.unpack::<WatchdogState>(KIND, VERSION)?)?;
        self.countdown.change(|registers| *registers = restored);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("expirations", self.countdown.expirations()), ("reloads", self.reloads.get())]
    }
}
