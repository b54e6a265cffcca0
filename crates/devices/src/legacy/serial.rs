// SPDX-License-Identifier: Apache-2.0
//! A 16550A serial port (National Semiconductor PC16550D data sheet). Eight ports.
//!
//! The interrupt output is the level that the data sheet describes: high while an enabled condition holds. Sending
//! takes no time, so the transmitter is always empty; its interrupt is pending after each byte sent and after it is
//! enabled, until the guest reads it in IIR. Input waits in a queue of 64 bytes; what does not fit stays with the
//! caller, who is told when there is room.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::metrics::Counter;
use flotilla_device_model::state::{DeviceState, StateError};
use serde::{Deserialize, Serialize};

/// Ports of the device.
pub const SERIAL_LEN: u64 = 8;
/// Bytes of input that the device holds.
pub const INPUT_LEN: usize = 64;

/// Receive buffer or transmit holding register; low divisor byte while `LCR_DLAB`.
const DATA: u64 = 0;
/// Interrupt enable; high divisor byte while `LCR_DLAB`.
const IER: u64 = 1;
/// Interrupt identification when read, FIFO control when written.
const IIR: u64 = 2;
const LCR: u64 = 3;
const MCR: u64 = 4;
const LSR: u64 = 5;
const MSR: u64 = 6;
const SCR: u64 = 7;

/// `IER`: received data available.
const IER_RDA: u8 = 1 << 0;
/// `IER`: transmit holding register empty.
const IER_THRE: u8 = 1 << 1;
const IER_BITS: u8 = 0x0f;
const IIR_NONE: u8 = 0x01;
const IIR_THRE: u8 = 0x02;
const IIR_RDA: u8 = 0x04;
const IIR_FIFO: u8 = 0xc0;
const FCR_ENABLE: u8 = 1 << 0;
const FCR_CLEAR_RECEIVER: u8 = 1 << 1;
const LCR_DLAB: u8 = 1 << 7;
const MCR_LOOP: u8 = 1 << 4;
const MCR_BITS: u8 = 0x1f;
const LSR_DATA_READY: u8 = 1 << 0;
const LSR_TRANSMITTER_EMPTY: u8 = 0x60;
/// Clear to send, data set ready, carrier: there is always somebody at the other end.
const MSR_CONNECTED: u8 = 0xb0;

const KIND: &str = "serial16550";
const VERSION: u32 = 1;

/// Registers. Also their saved form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Uart {
    divisor: u16,
    ier: u8,
    fifo: bool,
    lcr: u8,
    mcr: u8,
    scr: u8,
    /// The transmitter interrupt waits to be read in IIR.
    thre_pending: bool,
    input: VecDeque<u8>,
}

/// What a register access leads to, once the lock is gone.
#[derive(Default)]
struct Effects {
    output: Option<u8>,
    /// Input that was refused before may be offered again.
    room: bool,
}

struct Inner {
    uart: Uart,
    /// Level that the line was set to last.
    high: bool,
    /// Input was refused since there was room last.
    refused: bool,
}

/// The port.
///
/// `output` gets each byte as the guest sends it, on the vCPU's thread: it must not block. Its errors are counted
/// and the byte is lost, as on a cable that nobody holds.
pub struct Serial {
    name: String,
    inner: Mutex<Inner>,
    line: Arc<dyn InterruptLine>,
    output: Mutex<Box<dyn Write + Send>>,
    room: Box<dyn Fn() + Send + Sync>,
    sent: Counter,
    received: Counter,
    lost: Counter,
}

impl Serial {
    /// A port that drives `line`, writes to `output`, and calls `room` (cheap, must not block) when input that
    /// [`Serial::enqueue_input`] refused can be offered again.
    pub fn new(
        name: impl Into<String>,
        line: Arc<dyn InterruptLine>,
        output: Box<dyn Write + Send>,
        room: Box<dyn Fn() + Send + Sync>,
    ) -> Self {
        Self {
            name: name.into(),
            inner: Mutex::new(Inner { uart: Uart::power_on(), high: false, refused: false }),
            line,
            output: Mutex::new(output),
            room,
            sent: Counter::default(),
            received: Counter::default(),
            lost: Counter::default(),
        }
    }

    /// Offers input; the number of bytes taken. When that is not all, offer the rest after `room` was called.
    pub fn enqueue_input(&self, input: &[u8]) -> usize {
        let mut inner = self.inner();
        let space = if inner.uart.is_looped() { 0 } else { INPUT_LEN.saturating_sub(inner.uart.input.len()) };
        let taken = input.get(..space).unwrap_or(input);
        inner.uart.input.extend(taken);
        inner.refused |= taken.len() < input.len();
        self.received.add(u64::try_from(taken.len()).unwrap_or(u64::MAX));
        self.update_line(&mut inner);
        taken.len()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update_line(&self, inner: &mut Inner) {
        let high = inner.uart.cause() != IIR_NONE;
        if high != inner.high {
            inner.high = high;
            self.line.set_level(high);
        }
    }

    /// Runs an access and carries out its effects. `room` is reported when the queue has become empty.
    fn access<T>(&self, run: impl FnOnce(&mut Uart) -> (T, Option<u8>)) -> T {
        let mut effects = Effects::default();
        let mut inner = self.inner();
        let (value, output) = run(&mut inner.uart);
        effects.output = output;
        if inner.refused && inner.uart.input.is_empty() && !inner.uart.is_looped() {
            inner.refused = false;
            effects.room = true;
        }
        self.update_line(&mut inner);
        drop(inner);
        self.carry_out(&effects);
        value
    }

    fn carry_out(&self, effects: &Effects) {
        if let Some(byte) = effects.output {
            let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
            let counter = if output.write_all(&[byte]).is_ok() { &self.sent } else { &self.lost };
            counter.increment();
        }
        if effects.room {
            (self.room)();
        }
    }
}

impl Uart {
    fn power_on() -> Self {
        Self { divisor: 12, lcr: 3, mcr: 8, ..Self::default() }
    }

    fn is_looped(&self) -> bool {
        self.mcr & MCR_LOOP != 0
    }

    /// The interrupt with the highest priority.
    fn cause(&self) -> u8 {
        if self.ier & IER_RDA != 0 && !self.input.is_empty() {
            IIR_RDA
        } else if self.ier & IER_THRE != 0 && self.thre_pending {
            IIR_THRE
        } else {
            IIR_NONE
        }
    }

    fn read(&mut self, offset: u64) -> u8 {
        let [divisor_low, divisor_high] = self.divisor.to_le_bytes();
        let divisor = self.lcr & LCR_DLAB != 0;
        match offset {
            DATA if divisor => divisor_low,
            IER if divisor => divisor_high,
            DATA => self.input.pop_front().unwrap_or(0),
            IER => self.ier,
            IIR => self.read_iir(),
            LCR => self.lcr,
            MCR => self.mcr,
            LSR => LSR_TRANSMITTER_EMPTY | if self.input.is_empty() { 0 } else { LSR_DATA_READY },
            MSR => self.read_msr(),
            SCR => self.scr,
            _ => 0xff,
        }
    }

    /// Reading tells the cause, and acknowledges it if it is the transmitter.
    fn read_iir(&mut self) -> u8 {
        let cause = self.cause();
        if cause == IIR_THRE {
            self.thre_pending = false;
        }
        cause | if self.fifo { IIR_FIFO } else { 0 }
    }

    /// In loopback the modem outputs drive the inputs: RTS to CTS, DTR to DSR, OUT1 to RI, OUT2 to DCD.
    fn read_msr(&self) -> u8 {
        if !self.is_looped() {
            return MSR_CONNECTED;
        }
        (self.mcr & 0b0010) << 3 | (self.mcr & 0b0001) << 5 | (self.mcr & 0b1100) << 4
    }

    /// Writes a register; a byte to send, if it was that.
    fn write(&mut self, offset: u64, value: u8) -> Option<u8> {
        let divisor = self.lcr & LCR_DLAB != 0;
        let [divisor_low, divisor_high] = self.divisor.to_le_bytes();
        match offset {
            DATA if divisor => self.divisor = u16::from_le_bytes([value, divisor_high]),
            IER if divisor => self.divisor = u16::from_le_bytes([divisor_low, value]),
            DATA => return self.send(value),
            IER => {
                // Enabling finds the transmitter empty.
                self.thre_pending |= value & !self.ier & IER_THRE != 0;
                self.ier = value & IER_BITS;
            }
            IIR => {
                self.fifo = value & FCR_ENABLE != 0;
                if value & FCR_CLEAR_RECEIVER != 0 {
                    self.input.clear();
                }
            }
            LCR => self.lcr = value,
            MCR => self.mcr = value & MCR_BITS,
            SCR => self.scr = value,
            _ => {}
        }
        None
    }

    fn send(&mut self, value: u8) -> Option<u8> {
        self.thre_pending = true;
        if !self.is_looped() {
            return Some(value);
        }
        if self.input.len() < INPUT_LEN {
            self.input.push_back(value);
        }
        None
    }

    /// The field that no guest can have brought about, if any.
    fn impossible_field(&self) -> Option<&'static str> {
        match self {
            Self { ier, .. } if ier & !IER_BITS != 0 => Some("ier"),
            Self { mcr, .. } if mcr & !MCR_BITS != 0 => Some("mcr"),
            Self { input, .. } if input.len() > INPUT_LEN => Some("input"),
            _ => None,
        }
    }
}

impl BusDevice for Serial {
    /// Registers are bytes; wider accesses read all ones.
    fn read(&self, offset: u64, data: &mut [u8]) {
        match data {
            [byte] => *byte = self.access(|uart| (uart.read(offset), None)),
            _ => data.fill(0xff),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if let [value] = data {
            self.access(|uart| ((), uart.write(offset, *value)));
        }
    }
}

impl Lifecycle for Serial {
    fn name(&self) -> &str {
        &self.name
    }

    fn reset(&self) {
        let mut inner = self.inner();
        inner.uart = Uart::power_on();
        let room = std::mem::take(&mut inner.refused);
        self.update_line(&mut inner);
        drop(inner);
        self.carry_out(&Effects { output: None, room });
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        DeviceState::pack(KIND, VERSION, &self.inner().uart)
    }

    /// A guest that waits for the transmitter is woken, whether or not it saw the interrupt before: it sent its
    /// byte in another life, and one interrupt too many does no harm.
    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let mut saved: Uart = state.unpack(KIND, VERSION)?;
        if let Some(field) = saved.impossible_field() {
            return Err(StateError::Impossible { kind: KIND, field });
        }
        saved.thre_pending |= saved.ier & IER_THRE != 0;
        let mut inner = self.inner();
        inner.uart = saved;
        // An edge, whatever the line was: the interrupt controller may have been restored without it.
        inner.high = false;
        self.line.set_level(false);
        self.update_line(&mut inner);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("bytes_sent", self.sent.get()),
            ("bytes_received", self.received.get()),
            ("bytes_lost", self.lost.get()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    use flotilla_testing::interrupts::FakeLine;
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(data);
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Bench {
        serial: Serial,
        line: Arc<FakeLine>,
        sink: Sink,
        room: Arc<AtomicU64>,
    }

    fn bench() -> Bench {
        let (line, sink, room) = (Arc::<FakeLine>::default(), Sink::default(), Arc::<AtomicU64>::default());
        let counter = Arc::clone(&room);
        let told = Box::new(move || {
            counter.fetch_add(1, Ordering::SeqCst);
        });
        let serial = Serial::new("serial0", line.clone(), Box::new(sink.clone()), told);
        Bench { serial, line, sink, room }
    }

    impl Bench {
        fn read(&self, offset: u64) -> u8 {
            let mut data = [0];
            self.serial.read(offset, &mut data);
            data[0]
        }

        fn write(&self, offset: u64, value: u8) {
            self.serial.write(offset, &[value]);
        }
    }

    /// What the interrupt handler of a driver does until the port is quiet.
    fn handle(bench: &Bench, to_send: &mut VecDeque<u8>, received: &mut Vec<u8>) {
        while bench.line.is_high() {
            match bench.read(IIR) & 0x0f {
                IIR_RDA => received.push(bench.read(DATA)),
                IIR_THRE => match to_send.pop_front() {
                    Some(byte) => bench.write(DATA, byte),
                    None => bench.write(IER, IER_RDA),
                },
                _ => break,
            }
        }
    }

    #[test]
    fn carries_a_login_by_interrupts_alone() {
        let bench = bench();
        bench.write(IIR, FCR_ENABLE);
        bench.write(IER, IER_RDA);
        for round in 0..100 {
            let mut prompt: VecDeque<u8> = b"login: ".iter().copied().collect();
            let mut received = Vec::new();
            bench.write(IER, IER_RDA | IER_THRE);
            handle(&bench, &mut prompt, &mut received);
            assert!(prompt.is_empty(), "round {round}");
            assert_eq!(bench.serial.enqueue_input(b"root\r"), 5);
            handle(&bench, &mut prompt, &mut received);
            assert_eq!(received, b"root\r");
        }
        assert_eq!(bench.sink.0.lock().unwrap().len(), 700);
        assert_eq!(bench.serial.metrics(), [("bytes_sent", 700), ("bytes_received", 500), ("bytes_lost", 0)]);
        crate::declared::assert_declared("serial", &bench.serial.metrics());
    }

    #[test]
    fn raises_the_transmitter_interrupt_each_time_it_is_enabled() {
        let bench = bench();
        for _ in 0..2 {
            bench.write(IER, IER_THRE);
            assert!(bench.line.is_high());
            assert_eq!(bench.read(IIR), IIR_THRE);
            assert!(!bench.line.is_high());
            assert_eq!(bench.read(IIR), IIR_NONE);
            bench.write(IER, 0);
        }
    }

    #[test]
    fn keeps_input_that_came_while_interrupts_were_off() {
        let bench = bench();
        bench.serial.enqueue_input(b"x");
        assert!(!bench.line.is_high());
        bench.write(IER, IER_RDA);
        assert!(bench.line.is_high());
        assert_eq!((bench.read(LSR), bench.read(DATA), bench.read(LSR)), (0x61, b'x', 0x60));
        assert!(!bench.line.is_high());
    }

    #[test]
    fn holds_input_back_and_tells_when_there_is_room() {
        let bench = bench();
        assert_eq!(bench.serial.enqueue_input(&[7; 100]), INPUT_LEN);
        assert_eq!(bench.serial.enqueue_input(&[7; 36]), 0);
        for _ in 0..INPUT_LEN {
            assert_eq!(bench.room.load(Ordering::SeqCst), 0);
            bench.read(DATA);
        }
        assert_eq!(bench.room.load(Ordering::SeqCst), 1);
        assert_eq!(bench.serial.enqueue_input(&[7; 36]), 36);
        bench.write(IIR, FCR_CLEAR_RECEIVER);
        assert_eq!((bench.room.load(Ordering::SeqCst), bench.read(LSR)), (1, 0x60));
    }

    #[test]
    fn loops_back_for_drivers_that_probe() {
        let bench = bench();
        bench.write(MCR, MCR_LOOP | 0x0a);
        assert_eq!(bench.read(MSR) & 0xf0, 0x90);
        bench.write(DATA, 0x55);
        assert_eq!(bench.read(DATA), 0x55);
        assert_eq!(bench.serial.enqueue_input(b"no"), 0);
        bench.write(MCR, 0x0b);
        assert_eq!(bench.room.load(Ordering::SeqCst), 1);
        assert!(bench.sink.0.lock().unwrap().is_empty());
    }

    #[test]
    fn counts_what_the_sink_refuses() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let serial = Serial::new("serial0", Arc::<FakeLine>::default(), Box::new(Broken), Box::new(|| ()));
        serial.write(DATA, b"x");
        assert_eq!(serial.metrics()[2], ("bytes_lost", 1));
    }

    #[test]
    fn goes_on_in_a_new_port_as_the_driver_left_it() {
        let first = bench();
        // Divisor 1, eight bits with odd parity, FIFO, interrupt on input, DTR, RTS and OUT2.
        first.write(LCR, 0x80);
        first.write(DATA, 1);
        first.write(IER, 0);
        for (register, value) in [(LCR, 0x0b), (IIR, 1), (IER, IER_RDA), (MCR, 0x0b), (SCR, 0x5a)] {
            first.write(register, value);
        }
        first.serial.enqueue_input(b"abc");
        assert_eq!(first.read(DATA), b'a');
        let state = first.serial.save().unwrap();
        let second = bench();
        assert_ne!(second.serial.save().unwrap(), state);
        second.serial.restore(&state).unwrap();
        assert_eq!(second.serial.save().unwrap(), state);
        let registers = |bench: &Bench| [LCR, IER, MCR, SCR, IIR, LSR].map(|register| bench.read(register));
        assert_eq!(registers(&second), registers(&first));
        assert_eq!((second.read(DATA), second.read(DATA)), (b'b', b'c'));
        second.write(DATA, b'!');
        assert_eq!(*second.sink.0.lock().unwrap(), b"!");
    }

    #[test]
    fn wakes_a_restored_guest_that_waits_for_the_transmitter() {
        let first = bench();
        first.write(IER, IER_RDA | IER_THRE);
        first.read(IIR);
        first.serial.enqueue_input(b"ab");
        let mut state = first.serial.save().unwrap();
        let second = bench();
        second.serial.restore(&state).unwrap();
        assert!(second.line.is_high());
        assert_eq!((second.read(DATA), second.read(DATA)), (b'a', b'b'));
        assert_eq!(second.read(IIR) & 0x0f, IIR_THRE);
        for (field, value) in [("ier", 0xff.into()), ("mcr", 0xff.into()), ("input", vec![0; 65].into())] {
            let good = std::mem::replace(&mut state.fields[field], value);
            assert!(second.serial.restore(&state).is_err(), "{field}");
            state.fields[field] = good;
        }
        second.serial.reset();
        assert!(!second.line.is_high());
    }

    proptest! {
        #[test]
        fn survives_any_program(steps in prop::collection::vec((0..3_u8, 0..9_u64, prop::collection::vec(any::<u8>(), 0..9)), 0..120)) {
            let bench = bench();
            for (what, offset, mut data) in steps {
                match what {
                    0 => bench.serial.read(offset, &mut data),
                    1 => bench.serial.write(offset, &data),
                    _ => { bench.serial.enqueue_input(&data); }
                }
                let inner = bench.serial.inner();
                prop_assert_eq!(bench.line.is_high(), inner.uart.cause() != IIR_NONE);
                prop_assert!(inner.uart.input.len() <= INPUT_LEN);
            }
            let state = bench.serial.save().unwrap();
            bench.serial.restore(&state).unwrap();
        }
    }
}
