// SPDX-License-Identifier: Apache-2.0
//! ACPI fixed hardware (ACPI 6.4 §4.8) where a Q35 board has it: 128 ports for [`AcpiPm`], two for [`SmiCommand`].
//!
//! ```text
//!   +0x00 PM1 status   +0x02 PM1 enable   +0x04 PM1 control   +0x08 timer
//!   +0x20 GPE0 status, 8 bytes   +0x28 GPE0 enable, 8 bytes   +0x30 SMI enable (kept, without effect)
//! ```
//!
//! The SCI is high while `SCI_EN` is set and a status bit and its enable bit both are.
//!
//! The timer counts while the machine runs (ACPI 6.4 §4.8.3.3: in the working state S0) and stands still in a pause, with
//! the guest's other clock.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::power::{GuestSignal, GuestSignals};
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

use super::clock::Clock;

/// Ports of [`AcpiPm`].
pub const PM_LEN: u64 = 0x80;
/// The sleep type of S5, to be named by the package `_S5_` of the DSDT.
pub const SLP_TYP_S5: u8 = 5;
/// Value for the SMI command port that enables ACPI (field `ACPI_ENABLE` of the FADT).
pub const ACPI_ENABLE: u8 = 2;
/// Value for the SMI command port that disables ACPI.
pub const ACPI_DISABLE: u8 = 3;

/// Frequency of the timer in Hz.
const PM_TIMER_HZ: u128 = 3_579_545;
/// `PWRBTN_STS` and `PWRBTN_EN`.
const PWRBTN: u16 = 1 << 8;
/// Status bits that a guest clears by writing ones: timer, bus master, global, power and sleep button, RTC, wake.
const PM1_STATUS: u16 = 0x8f31;
/// Enable bits: timer, global, power button, sleep button, RTC.
const PM1_ENABLE: u16 = 0x0721;
/// `SCI_EN`, set through the SMI command port only.
const SCI_EN: u16 = 1 << 0;
/// `BM_RLD` and `SLP_TYP` are kept; `SLP_EN` always reads as zero.
const PM1_CONTROL: u16 = 0x1c02;
const SLP_EN: u16 = 1 << 13;

const KIND: &str = "acpi-pm";
const VERSION: u32 = 1;

/// The registers. Also their saved form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registers {
    pm1_status: u16,
    pm1_enable: u16,
    pm1_control: u16,
    gpe0_status: u64,
    gpe0_enable: u64,
    smi_enable: u32,
    smi_command: u8,
    smi_status: u8,
    /// Value of the timer at nanosecond 0 of the clock while it counts, otherwise its value. So it is in a saved state.
    timer_start: u32,
    /// Whether the timer counts: from each `resume` to the next `pause`.
    #[serde(skip)]
    timer_counts: bool,
}

/// The power management block.
pub struct AcpiPm {
    registers: Mutex<Registers>,
    sci: Arc<dyn InterruptLine>,
    signals: Arc<dyn GuestSignals>,
    clock: Arc<dyn Clock>,
    power_offs: Counter,
    button_presses: Counter,
}

impl AcpiPm {
    /// A block that drives `sci` (interrupt 9) and reports soft-off to `signals`.
    pub fn new(sci: Arc<dyn InterruptLine>, signals: Arc<dyn GuestSignals>, clock: Arc<dyn Clock>) -> Self {
        Self {
            registers: Mutex::default(),
            sci,
            signals,
            clock,
            power_offs: Counter::default(),
            button_presses: Counter::default(),
        }
    }

    /// Presses the power button. `false` when the guest listens neither now nor, as far as can be seen, later;
    /// the press is recorded all the same and seen when it enables the button.
    pub fn press_power_button(&self) -> bool {
        self.button_presses.increment();
        let mut registers = self.registers();
        registers.pm1_status |= PWRBTN;
        self.update_sci(&registers);
        registers.pm1_control & SCI_EN != 0 && registers.pm1_enable & PWRBTN != 0
    }

    /// Raises general purpose event `event` (0 to 63).
    pub fn raise_gpe(&self, event: u8) {
        let mut registers = self.registers();
        registers.gpe0_status |= 1_u64.checked_shl(event.into()).unwrap_or(0);
        self.update_sci(&registers);
    }

    /// The SMI command port and its status port, as a device of their own on the bus.
    pub fn smi_command(self: &Arc<Self>) -> SmiCommand {
        SmiCommand(Arc::clone(self))
    }

    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update_sci(&self, registers: &Registers) {
        let fixed = registers.pm1_status & registers.pm1_enable != 0;
        let general = registers.gpe0_status & registers.gpe0_enable != 0;
        self.sci.set_level(registers.pm1_control & SCI_EN != 0 && (fixed || general));
    }

    /// Ticks since the clock began, as 32 bits.
    fn ticks(&self) -> u32 {
        let ticks = u128::from(self.clock.nanoseconds()) * PM_TIMER_HZ / 1_000_000_000;
        u32::try_from(ticks & 0xffff_ffff).unwrap_or_default()
    }

    fn timer(&self, registers: &Registers) -> u32 {
        if registers.timer_counts {
            registers.timer_start.wrapping_add(self.ticks())
        } else {
            registers.timer_start
        }
    }

    /// The register file as bytes from +0 to +0x38.
    fn image(&self) -> [u8; 0x38] {
        let registers = *self.registers();
        let timer = self.timer(&registers);
        let mut image = [0; 0x38];
        let fields: [(usize, u64, usize); 7] = [
            (0x00, registers.pm1_status.into(), 2),
            (0x02, registers.pm1_enable.into(), 2),
            (0x04, registers.pm1_control.into(), 2),
            (0x08, timer.into(), 4),
            (0x20, registers.gpe0_status, 8),
            (0x28, registers.gpe0_enable, 8),
            (0x30, registers.smi_enable.into(), 4),
        ];
        for (start, value, width) in fields {
            for (slot, byte) in image.iter_mut().skip(start).zip(value.to_le_bytes()).take(width) {
                *slot = byte;
            }
        }
        image
    }

    /// Writes one byte; `true` when the guest asked for soft-off with it.
    fn write_byte(registers: &mut Registers, offset: u64, byte: u8) -> bool {
        let low = |width: u64, base: u64| u32::try_from(8 * ((offset - base) % width)).unwrap_or(0);
        match offset {
            0x00 | 0x01 => registers.pm1_status &= !(u16::from(byte) << low(2, 0)),
            0x02 | 0x03 => merge16(&mut registers.pm1_enable, low(2, 2), byte, PM1_ENABLE),
            0x04 | 0x05 => {
                merge16(&mut registers.pm1_control, low(2, 4), byte, PM1_CONTROL);
                let sleeps = offset == 0x05 && u16::from(byte) << 8 & SLP_EN != 0;
                return sleeps && registers.pm1_control >> 10 & 7 == u16::from(SLP_TYP_S5);
            }
            0x20..=0x27 => registers.gpe0_status &= !(u64::from(byte) << low(8, 0x20)),
            0x28..=0x2f => {
                let shift = low(8, 0x28);
                registers.gpe0_enable = registers.gpe0_enable & !(0xff << shift) | u64::from(byte) << shift;
            }
            0x30..=0x33 => {
                let shift = low(4, 0x30);
                registers.smi_enable = registers.smi_enable & !(0xff << shift) | u32::from(byte) << shift;
            }
            _ => {}
        }
        false
    }
}

/// Writes one byte of a 16-bit register, as far as `writable` allows.
fn merge16(register: &mut u16, shift: u32, byte: u8, writable: u16) {
    let mask = 0xff << shift & writable;
    *register = *register & !mask | u16::from(byte) << shift & mask;
}

impl BusDevice for AcpiPm {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let image = self.image();
        for (at, byte) in (offset..).zip(data) {
            *byte = usize::try_from(at).ok().and_then(|at| image.get(at)).copied().unwrap_or(0);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let mut off = false;
        let mut registers = self.registers();
        for (at, byte) in (offset..).zip(data) {
            off |= Self::write_byte(&mut registers, at, *byte);
        }
        self.update_sci(&registers);
        drop(registers);
        if off {
            self.power_offs.increment();
            self.signals.signal(GuestSignal::PowerOff);
        }
    }
}

impl Lifecycle for AcpiPm {
    fn name(&self) -> &'static str {
        KIND
    }

    fn pause(&self) {
        let mut registers = self.registers();
        registers.timer_start = self.timer(&registers);
        registers.timer_counts = false;
    }

    fn resume(&self) {
        let mut registers = self.registers();
        registers.timer_start = self.timer(&registers).wrapping_sub(self.ticks());
        registers.timer_counts = true;
    }

    fn reset(&self) {
        let mut registers = self.registers();
        let Registers { timer_start, timer_counts, .. } = *registers;
        *registers = Registers { timer_start, timer_counts, ..Registers::default() };
        self.update_sci(&registers);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        let mut registers = *self.registers();
        registers.timer_start = self.timer(&registers);
        DeviceState::pack(KIND, VERSION, &registers)
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let saved: Registers = state.unpack(KIND, VERSION)?;
        let impossible = |field| Err(StateError::Impossible { kind: KIND, field });
        if saved.pm1_status & !PM1_STATUS != 0 {
            return impossible("pm1_status");
        }
        if saved.pm1_enable & !PM1_ENABLE != 0 {
            return impossible("pm1_enable");
        }
        if saved.pm1_control & !(PM1_CONTROL | SCI_EN) != 0 {
            return impossible("pm1_control");
        }
        let mut registers = self.registers();
        *registers = saved;
        self.update_sci(&registers);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("power_offs", self.power_offs.get()), ("button_presses", self.button_presses.get())]
    }
}

/// Ports 0xB2 (command) and 0xB3 (status). Saved and reset with the [`AcpiPm`] it belongs to.
pub struct SmiCommand(Arc<AcpiPm>);

impl BusDevice for SmiCommand {
    fn read(&self, offset: u64, data: &mut [u8]) {
        let registers = self.0.registers();
        let ports = [registers.smi_command, registers.smi_status];
        for (at, byte) in (offset..).zip(data) {
            *byte = usize::try_from(at).ok().and_then(|at| ports.get(at)).copied().unwrap_or(0xff);
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let mut registers = self.0.registers();
        for (at, byte) in (offset..).zip(data) {
            match (at, *byte) {
                (0, command) => {
                    registers.smi_command = command;
                    match command {
                        ACPI_ENABLE => registers.pm1_control |= SCI_EN,
                        ACPI_DISABLE => registers.pm1_control &= !SCI_EN,
                        _ => {}
                    }
                }
                (1, status) => registers.smi_status = status,
                _ => {}
            }
        }
        self.0.update_sci(&registers);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use flotilla_testing::interrupts::FakeLine;
    use flotilla_testing::signals::FakeSignals;
    use proptest::prelude::*;

    use super::*;
    use crate::legacy::clock::fake::FakeClock;

    struct Bench {
        pm: Arc<AcpiPm>,
        sci: Arc<FakeLine>,
        signals: Arc<FakeSignals>,
        clock: Arc<FakeClock>,
    }

    fn bench() -> Bench {
        let (sci, signals, clock) =
            (Arc::<FakeLine>::default(), Arc::<FakeSignals>::default(), Arc::default());
        let pm = Arc::new(AcpiPm::new(sci.clone(), signals.clone(), Arc::clone(&clock) as _));
        Bench { pm, sci, signals, clock }
    }

    fn read32(device: &dyn BusDevice, offset: u64) -> u32 {
        let mut data = [0; 4];
        device.read(offset, &mut data);
        u32::from_le_bytes(data)
    }

    #[test]
    fn tells_the_guest_of_the_power_button() {
        let Bench { pm, sci, .. } = bench();
        assert!(!pm.press_power_button());
        pm.write(2, &PWRBTN.to_le_bytes());
        assert!(!sci.is_high(), "no SCI in legacy mode");
        pm.smi_command().write(0, &[ACPI_ENABLE]);
        assert_eq!(read32(&*pm, 4) & 1, 1, "SCI_EN");
        assert!(sci.is_high());
        pm.write(2, &0_u16.to_le_bytes());
        assert!(!sci.is_high(), "the button is not enabled");
        pm.write(2, &PWRBTN.to_le_bytes());
        assert!(pm.press_power_button());
        pm.write(0, &PWRBTN.to_le_bytes());
        assert!(!sci.is_high());
        assert_eq!(pm.metrics()[1], ("button_presses", 2));
        crate::declared::assert_declared("acpi-pm", &pm.metrics());
    }

    #[test]
    fn switches_off_for_s5_only() {
        let Bench { pm, signals, .. } = bench();
        pm.write(4, &(SLP_EN | 1 << 10).to_le_bytes());
        assert_eq!(signals.take(), []);
        pm.write(4, &(u16::from(SLP_TYP_S5) << 10).to_le_bytes());
        assert_eq!(signals.take(), []);
        pm.write(4, &(SLP_EN | u16::from(SLP_TYP_S5) << 10).to_le_bytes());
        assert_eq!(signals.take(), [GuestSignal::PowerOff]);
        assert_eq!(pm.metrics()[0], ("power_offs", 1));
        assert_eq!(read32(&*pm, 4) & u32::from(SLP_EN), 0);
    }

    #[test]
    fn counts_at_three_and_a_half_megahertz() {
        let Bench { pm, clock, .. } = bench();
        pm.resume();
        clock.nanoseconds.store(2_000_000_000, Ordering::SeqCst);
        assert_eq!(read32(&*pm, 8), 2 * 3_579_545);
    }

    #[test]
    fn stands_still_until_the_machine_starts_and_in_each_pause() {
        const SECOND: u32 = 3_579_545;
        let Bench { pm, clock, .. } = bench();
        let after = |seconds: u64| {
            clock.nanoseconds.fetch_add(seconds * 1_000_000_000, Ordering::SeqCst);
            read32(&*pm, 8) / SECOND
        };
        assert_eq!(after(3), 0, "not started");
        pm.resume();
        assert_eq!(after(2), 2);
        pm.pause();
        assert_eq!(after(100), 2, "paused");
        pm.pause();
        pm.reset();
        assert_eq!(after(100), 2, "reset in a pause");
        pm.resume();
        assert_eq!(after(1), 3);
        pm.resume();
        assert_eq!(after(1), 4, "resumed twice");
    }

    #[test]
    fn goes_on_where_it_was_saved_once_it_is_resumed() {
        let first = bench();
        first.pm.resume();
        first.clock.nanoseconds.store(1_000_000_000, Ordering::SeqCst);
        first.pm.pause();
        first.clock.nanoseconds.store(9_000_000_000, Ordering::SeqCst);
        let state = first.pm.save().unwrap();
        let second = bench();
        second.clock.nanoseconds.store(77_000_000_000, Ordering::SeqCst);
        second.pm.restore(&state).unwrap();
        second.clock.nanoseconds.store(78_000_000_000, Ordering::SeqCst);
        assert_eq!(second.pm.save().unwrap(), state, "restored and not yet resumed");
        second.pm.resume();
        second.clock.nanoseconds.store(80_000_000_000, Ordering::SeqCst);
        assert_eq!(read32(&*second.pm, 8), 3 * 3_579_545);
    }

    #[test]
    fn raises_general_purpose_events() {
        let Bench { pm, sci, .. } = bench();
        pm.smi_command().write(0, &[ACPI_ENABLE]);
        pm.write(0x28, &(1_u64 << 33).to_le_bytes());
        pm.raise_gpe(33);
        assert!(sci.is_high());
        pm.write(0x24, &[2]);
        assert!(!sci.is_high());
        pm.raise_gpe(200);
    }

    #[test]
    fn restores_registers_timer_and_line() {
        let first = bench();
        first.pm.smi_command().write(0, &[ACPI_ENABLE]);
        first.pm.write(2, &PWRBTN.to_le_bytes());
        first.pm.press_power_button();
        first.pm.resume();
        first.clock.nanoseconds.store(1_000_000_000, Ordering::SeqCst);
        let mut state = first.pm.save().unwrap();
        let second = bench();
        second.clock.nanoseconds.store(77, Ordering::SeqCst);
        second.pm.restore(&state).unwrap();
        assert_eq!(second.pm.save().unwrap(), state);
        assert!(second.sci.is_high());
        assert_eq!(read32(&*second.pm, 8), 3_579_545);
        for field in ["pm1_status", "pm1_enable", "pm1_control"] {
            let good = std::mem::replace(&mut state.fields[field], 0xffff.into());
            assert!(second.pm.restore(&state).is_err(), "{field}");
            state.fields[field] = good;
        }
        second.pm.reset();
        assert!(!second.sci.is_high());
    }

    proptest! {
        #[test]
        fn survives_any_access(steps in prop::collection::vec((any::<bool>(), 0..0x90_u64, prop::collection::vec(any::<u8>(), 0..9)), 0..60)) {
            let bench = bench();
            for (write, offset, mut data) in steps {
                if write { bench.pm.write(offset, &data) } else { bench.pm.read(offset, &mut data) }
            }
            let state = bench.pm.save().unwrap();
            bench.pm.restore(&state).unwrap();
        }
    }
}
