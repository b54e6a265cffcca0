// SPDX-License-Identifier: Apache-2.0
//! A keyboard controller without keyboard or mouse. Ports 0x60 (data) to 0x64 (status, command), five in all.
//!
//! Guests use it to reset the machine. Everything else is there so that a driver which looks for a keyboard finds
//! none at once: each command is answered, so that none runs into a timeout.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::power::{GuestSignal, GuestSignals};
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

/// Ports of the device, from 0x60.
pub const I8042_LEN: u64 = 5;
const DATA: u64 = 0;
/// Port 0x61, speaker and refresh: with an in-kernel timer it does not get here.
const PORT_B: u64 = 1;
const STATUS: u64 = 4;

/// Status: output buffer full.
const STATUS_OUTPUT_FULL: u8 = 1 << 0;
/// Status: self test passed.
const STATUS_SYSTEM: u8 = 1 << 2;
/// Status: the last write was a command.
const STATUS_COMMAND: u8 = 1 << 3;
/// Status: keyboard not locked.
const STATUS_UNLOCKED: u8 = 1 << 4;
/// Status: the byte that waits is from the auxiliary port.
const STATUS_AUX_OUTPUT: u8 = 1 << 5;
/// Status: the device did not answer the byte sent to it.
const STATUS_TIMEOUT: u8 = 1 << 6;

const COMMAND_READ_CONTROL: u8 = 0x20;
const COMMAND_WRITE_CONTROL: u8 = 0x60;
const COMMAND_AUX_DISABLE: u8 = 0xa7;
const COMMAND_AUX_ENABLE: u8 = 0xa8;
const COMMAND_AUX_TEST: u8 = 0xa9;
const COMMAND_SELF_TEST: u8 = 0xaa;
const COMMAND_KEYBOARD_TEST: u8 = 0xab;
const COMMAND_KEYBOARD_DISABLE: u8 = 0xad;
const COMMAND_KEYBOARD_ENABLE: u8 = 0xae;
const COMMAND_READ_OUTPUT_PORT: u8 = 0xd0;
/// Commands from here take one byte of data.
const COMMAND_WRITE_OUTPUT_PORT: u8 = 0xd1;
const COMMAND_AUX_LOOP: u8 = 0xd3;
const COMMAND_AUX_SEND: u8 = 0xd4;
/// Pulse output line 0, the processor's reset.
const COMMAND_RESET: u8 = 0xfe;

/// Control: interrupt when the keyboard's byte waits.
const CONTROL_KEYBOARD_INTERRUPT: u8 = 1 << 0;
const CONTROL_KEYBOARD_DISABLED: u8 = 1 << 4;
const CONTROL_AUX_DISABLED: u8 = 1 << 5;

/// Output port: not in reset, A20 open.
const OUTPUT_PORT: u8 = 0x03;
const SELF_TEST_PASSED: u8 = 0x55;
/// Interface test: clock line stuck low, so there is no port.
const TEST_NO_PORT: u8 = 0x01;
/// What a driver gets instead of an answer of the keyboard.
const NO_ANSWER: u8 = 0xfe;
/// Bytes that wait for the guest at most; more are dropped.
const OUTPUT_LEN: usize = 16;

const KIND: &str = "i8042";
const VERSION: u32 = 1;

/// Registers. Also their saved form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Controller {
    control: u8,
    port_b: u8,
    /// A command whose data byte is still to come; 0 for none.
    command: u8,
    last_was_command: bool,
    timeout: bool,
    /// Whether what waits came by the auxiliary port.
    #[serde(default)]
    aux: bool,
    output: VecDeque<u8>,
}

impl Controller {
    fn power_on() -> Self {
        Self {
            control: CONTROL_KEYBOARD_DISABLED | CONTROL_AUX_DISABLED,
            port_b: 0,
            command: 0,
            last_was_command: false,
            timeout: false,
            aux: false,
            output: VecDeque::new(),
        }
    }

    fn status(&self) -> u8 {
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        STATUS_SYSTEM
            | STATUS_UNLOCKED
            | flag(!self.output.is_empty(), STATUS_OUTPUT_FULL)
            | flag(self.last_was_command, STATUS_COMMAND)
            | flag(self.aux && !self.output.is_empty(), STATUS_AUX_OUTPUT)
            | flag(self.timeout && !self.output.is_empty(), STATUS_TIMEOUT)
    }

    fn answer(&mut self, byte: u8) {
        if self.output.len() < OUTPUT_LEN {
            self.output.push_back(byte);
        }
    }

    fn take(&mut self) -> u8 {
        let byte = self.output.pop_front().unwrap_or(0);
        self.timeout &= !self.output.is_empty();
        self.aux &= !self.output.is_empty();
        byte
    }

    /// Runs a command; `true` when it resets the machine.
    fn command(&mut self, command: u8) -> bool {
        self.last_was_command = true;
        self.command = 0;
        match command {
            COMMAND_READ_CONTROL => self.answer(self.control),
            COMMAND_WRITE_CONTROL | COMMAND_WRITE_OUTPUT_PORT..=COMMAND_AUX_SEND => self.command = command,
            COMMAND_AUX_DISABLE => self.control |= CONTROL_AUX_DISABLED,
            COMMAND_AUX_ENABLE => self.control &= !CONTROL_AUX_DISABLED,
            COMMAND_AUX_TEST => self.answer(TEST_NO_PORT),
            COMMAND_SELF_TEST => self.answer(SELF_TEST_PASSED),
            COMMAND_KEYBOARD_TEST => self.answer(0),
            COMMAND_KEYBOARD_DISABLE => self.control |= CONTROL_KEYBOARD_DISABLED,
            COMMAND_KEYBOARD_ENABLE => self.control &= !CONTROL_KEYBOARD_DISABLED,
            COMMAND_READ_OUTPUT_PORT => self.answer(OUTPUT_PORT),
            COMMAND_RESET => return true,
            _ => {}
        }
        false
    }

    /// Takes a data byte; `true` when it resets the machine.
    fn data(&mut self, byte: u8) -> bool {
        self.last_was_command = false;
        match std::mem::take(&mut self.command) {
            COMMAND_WRITE_CONTROL => self.control = byte,
            COMMAND_WRITE_OUTPUT_PORT => return byte & 1 == 0,
            // No auxiliary port: what is looped does not come back. It is marked as that port's all the same, for a driver leaves
            // any other byte where it is, takes it for the answer to its next question, and then finds half a port.
            COMMAND_AUX_LOOP => {
                self.answer(0);
                self.aux = true;
            }
            COMMAND_AUX_SEND | 0 => {
                self.answer(NO_ANSWER);
                self.timeout = true;
            }
            _ => {}
        }
        false
    }

    fn interrupts(&self) -> bool {
        !self.output.is_empty() && self.control & CONTROL_KEYBOARD_INTERRUPT != 0
    }
}

/// The controller.
pub struct I8042 {
    controller: Mutex<Controller>,
    line: Arc<dyn InterruptLine>,
    signals: Arc<dyn GuestSignals>,
    resets: Counter,
}

impl I8042 {
    /// A controller that drives `line` (interrupt 1) and reports resets to `signals`.
    pub fn new(line: Arc<dyn InterruptLine>, signals: Arc<dyn GuestSignals>) -> Self {
        Self { controller: Mutex::new(Controller::power_on()), line, signals, resets: Counter::default() }
    }

    fn controller(&self) -> MutexGuard<'_, Controller> {
        self.controller.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BusDevice for I8042 {
    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0xff);
        let [byte] = data else { return };
        let mut controller = self.controller();
        match offset {
            DATA => {
                *byte = controller.take();
                // A byte still waiting gets an edge of its own.
                self.line.set_level(false);
                self.line.set_level(controller.interrupts());
            }
            PORT_B => {
                // The refresh bit toggles; some delay loops wait for that.
                controller.port_b ^= 1 << 4;
                *byte = controller.port_b;
            }
            STATUS => *byte = controller.status(),
            _ => {}
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        let [byte] = *data else { return };
        let mut controller = self.controller();
        let reset = match offset {
            DATA => controller.data(byte),
            STATUS => controller.command(byte),
            PORT_B => {
                controller.port_b = controller.port_b & 0xf0 | byte & 0x0f;
                false
            }
            _ => false,
        };
        self.line.set_level(controller.interrupts());
        drop(controller);
        if reset {
            self.resets.increment();
            self.signals.signal(GuestSignal::Reset);
        }
    }
}

impl Lifecycle for I8042 {
    fn name(&self) -> &'static str {
        KIND
    }

    fn reset(&self) {
        *self.controller() = Controller::power_on();
        self.line.set_level(false);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &*self.controller())
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let saved: Controller = state.unpack(KIND, VERSION)?;
        if saved.output.len() > OUTPUT_LEN {
            return Err(StateError::Impossible { kind: KIND, field: "output" });
        }
        let mut controller = self.controller();
        *controller = saved;
        self.line.set_level(false);
        self.line.set_level(controller.interrupts());
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![("resets", self.resets.get())]
    }
}

#[cfg(test)]
mod tests {
    use flotilla_testing::interrupts::FakeLine;
    use flotilla_testing::signals::FakeSignals;
    use proptest::prelude::*;

    use super::*;

    fn bench() -> (I8042, Arc<FakeSignals>, Arc<FakeLine>) {
        let (line, signals) = (Arc::<FakeLine>::default(), Arc::<FakeSignals>::default());
        (I8042::new(line.clone(), signals.clone()), signals, line)
    }

    fn read(device: &I8042, offset: u64) -> u8 {
        let mut data = [0];
        device.read(offset, &mut data);
        data[0]
    }

    #[test]
    fn resets_by_command_and_by_output_port() {
        let (device, signals, _) = bench();
        device.write(STATUS, &[COMMAND_RESET]);
        assert_eq!(signals.take(), [GuestSignal::Reset]);
        device.write(STATUS, &[COMMAND_WRITE_OUTPUT_PORT]);
        device.write(DATA, &[3]);
        assert_eq!(signals.take(), []);
        device.write(STATUS, &[COMMAND_WRITE_OUTPUT_PORT]);
        device.write(DATA, &[2]);
        assert_eq!(signals.take(), [GuestSignal::Reset]);
        assert_eq!(device.metrics(), [("resets", 2)]);
        crate::declared::assert_declared("i8042", &device.metrics());
    }

    #[test]
    fn answers_a_driver_that_probes_at_once() {
        let (device, _, _) = bench();
        for (command, answer) in [
            (COMMAND_SELF_TEST, 0x55),
            (COMMAND_KEYBOARD_TEST, 0),
            (COMMAND_AUX_TEST, 1),
            (COMMAND_READ_CONTROL, 0x30),
        ] {
            device.write(STATUS, &[command]);
            assert_eq!(read(&device, STATUS) & 3, STATUS_OUTPUT_FULL);
            assert_eq!(read(&device, DATA), answer);
            assert_eq!(read(&device, STATUS) & 3, 0);
        }
    }

    /// As Linux asks for an auxiliary port that no table told it of (`i8042_check_aux`).
    #[test]
    fn a_driver_that_looks_for_an_auxiliary_port_finds_none_and_nothing_is_left() {
        let (device, _, _) = bench();
        device.write(STATUS, &[COMMAND_AUX_LOOP]);
        device.write(DATA, &[0x5a]);
        assert_ne!(read(&device, STATUS) & STATUS_AUX_OUTPUT, 0, "it would not read any other byte");
        assert_ne!(read(&device, DATA), 0x5a);
        assert_eq!(read(&device, STATUS) & (STATUS_AUX_OUTPUT | STATUS_OUTPUT_FULL), 0);
        device.write(STATUS, &[COMMAND_AUX_TEST]);
        assert_eq!(read(&device, STATUS) & (STATUS_AUX_OUTPUT | STATUS_OUTPUT_FULL), STATUS_OUTPUT_FULL);
        assert_eq!(read(&device, DATA), TEST_NO_PORT);
        assert_eq!(read(&device, STATUS) & STATUS_OUTPUT_FULL, 0);
    }

    #[test]
    fn says_by_interrupt_that_no_keyboard_answers() {
        let (device, _, line) = bench();
        device.write(STATUS, &[COMMAND_WRITE_CONTROL]);
        device.write(DATA, &[CONTROL_KEYBOARD_INTERRUPT]);
        device.write(DATA, &[0xf2]);
        assert!(line.is_high());
        assert_ne!(read(&device, STATUS) & STATUS_TIMEOUT, 0);
        assert_eq!(read(&device, DATA), NO_ANSWER);
        assert!(!line.is_high());
    }

    #[test]
    fn restores_what_it_saved_and_refuses_too_much_output() {
        let (device, _, _) = bench();
        device.write(STATUS, &[COMMAND_SELF_TEST]);
        device.write(STATUS, &[COMMAND_WRITE_CONTROL]);
        let mut state = device.save().unwrap();
        let (other, _, line) = bench();
        other.restore(&state).unwrap();
        assert_eq!(other.save().unwrap(), state);
        other.write(DATA, &[CONTROL_KEYBOARD_INTERRUPT]);
        assert!(line.is_high());
        assert_eq!(read(&other, DATA), 0x55);
        state.fields["output"] = vec![0; 17].into();
        assert!(other.restore(&state).is_err());
        other.reset();
        assert_eq!(read(&other, STATUS) & 1, 0);
    }

    proptest! {
        #[test]
        fn survives_any_program(steps in prop::collection::vec((any::<bool>(), 0..6_u64, prop::collection::vec(any::<u8>(), 0..5)), 0..100)) {
            let (device, _, _) = bench();
            for (write, offset, mut data) in steps {
                if write { device.write(offset, &data) } else { device.read(offset, &mut data) }
                prop_assert!(device.controller().output.len() <= OUTPUT_LEN);
            }
        }
    }
}
