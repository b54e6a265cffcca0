// SPDX-License-Identifier: Apache-2.0
//! The fixed devices of a PC, at their ports and on their interrupt lines. Those that only ACPI tables tell of are left out
//! where there are none.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Weak};

use flotilla_boot::acpi;
use flotilla_boot::layout::{self, irq, port};
use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::power::GuestSignals;
use flotilla_devices::legacy::acpi_pm::{AcpiPm, PM_LEN};
use flotilla_devices::legacy::clock::{Clock, HostClock};
use flotilla_devices::legacy::i8042::I8042;
use flotilla_devices::legacy::post::PostCode;
use flotilla_devices::legacy::pvpanic::PvPanic;
use flotilla_devices::legacy::reset::ResetControl;
use flotilla_devices::legacy::rtc::{NvramSizes, Rtc};
use flotilla_devices::legacy::serial::{SERIAL_LEN, Serial};
use flotilla_devices::legacy::vm_generation::{VmGeneration, VmGenerationParts};
use flotilla_devices::legacy::watchdog;
use flotilla_devices::legacy::watchdog::device::{Expiry, WATCHDOG_LEN, Watchdog};
use flotilla_devices::virtio::rng::source::HostEntropy;
use flotilla_memory::GuestAddress;
use flotilla_spec::{SerialSpec, ValidSpec, WatchdogAction, WatchdogSpec};

use super::{Frame, hypervisor, layout_fault};
use crate::console::{Console, InputSink};
use crate::error::BuildError;
use crate::inbox::Inbox;
use crate::parts::PowerButton;

const I8042_LEN: u64 = 5;
const RTC_LEN: u64 = 2;
const SMI_COMMAND_LEN: u64 = 2;
const POST: u16 = 0x80;
// What the guest is told of the watchdog is what it is.
const _: () = assert!(
    acpi::WATCHDOG_PERIOD == watchdog::PERIOD_MS
        && acpi::WATCHDOG_MIN_COUNT == watchdog::MIN_COUNT
        && acpi::WATCHDOG_MAX_COUNT == watchdog::MAX_COUNT
);

/// What the rest of the machine needs of them.
pub struct Legacy {
    /// Port 0xcf9, which lies inside the PCI configuration ports.
    pub reset_control: Arc<dyn BusDevice>,
    /// Presses the power button, if the machine has one.
    pub power_button: Option<PowerButton>,
    /// Takes console input. The console holds it weakly.
    pub input: Arc<dyn InputSink>,
}

/// Adds the fixed devices.
pub fn add(
    frame: &mut Frame,
    spec: &ValidSpec,
    serial_file: Option<File>,
    inbox: &Arc<Inbox>,
    console: &Arc<Console>,
) -> Result<Legacy, BuildError> {
    let signals: Arc<dyn GuestSignals> = inbox.clone();
    let clock: Arc<dyn Clock> = Arc::new(HostClock::new());
    let serial = add_serial(frame, spec, serial_file, console)?;
    let keyboard = frame.vm.interrupt_line(irq::KEYBOARD);
    insert(frame, port::I8042, I8042_LEN, Arc::new(I8042::new(keyboard, Arc::clone(&signals))))?;
    let alarm = frame.vm.edge_line(irq::RTC).map_err(hypervisor("wire the clock"))?;
    let rtc = Rtc::new(Arc::clone(&clock), alarm, nvram(spec)).watched_by(Arc::clone(&frame.threads));
    insert(frame, port::RTC, RTC_LEN, Arc::new(rtc))?;
    insert(frame, POST, 1, Arc::new(PostCode::default()))?;
    let power_button = if spec.has_acpi() { Some(add_acpi(frame, spec, &signals, clock)?) } else { None };
    let reset = Arc::new(ResetControl::new(signals));
    frame.devices.push(reset.clone());
    Ok(Legacy { reset_control: reset, power_button, input: Arc::new(SerialInput(serial)) })
}

/// What guests find by ACPI tables alone.
fn add_acpi(
    frame: &mut Frame,
    spec: &ValidSpec,
    signals: &Arc<dyn GuestSignals>,
    clock: Arc<dyn Clock>,
) -> Result<PowerButton, BuildError> {
    if let Some(watchdog) = spec.watchdog {
        add_watchdog(frame, watchdog, signals, &clock)?;
    }
    insert(frame, port::PVPANIC, 1, Arc::new(PvPanic::new(Arc::clone(signals))))?;
    let pm = Arc::new(AcpiPm::new(frame.vm.interrupt_line(irq::SCI), Arc::clone(signals), clock));
    insert(frame, port::ACPI_PM, PM_LEN, Arc::clone(&pm))?;
    place(frame, port::SMI_COMMAND, SMI_COMMAND_LEN, Arc::new(pm.smi_command()))?;
    add_vm_generation(frame, &pm)?;
    Ok(Box::new(move || {
        pm.press_power_button();
    }))
}

fn add_watchdog(
    frame: &mut Frame,
    spec: WatchdogSpec,
    signals: &Arc<dyn GuestSignals>,
    clock: &Arc<dyn Clock>,
) -> Result<(), BuildError> {
    let expiry = match spec.action {
        WatchdogAction::Reset => Expiry::Reset,
        WatchdogAction::Poweroff => Expiry::PowerOff,
        WatchdogAction::Pause | WatchdogAction::Report => Expiry::Other,
    };
    let watchdog = Watchdog::new(Arc::clone(clock), Arc::clone(signals), expiry);
    let watchdog = watchdog.watched_by(Arc::clone(&frame.threads));
    insert(frame, port::WATCHDOG, WATCHDOG_LEN, Arc::new(watchdog))
}

fn add_vm_generation(frame: &mut Frame, pm: &Arc<AcpiPm>) -> Result<(), BuildError> {
    let pm = Arc::clone(pm);
    let device = VmGeneration::new(VmGenerationParts {
        memory: Arc::clone(&frame.memory),
        address: GuestAddress(layout::VM_GENERATION_ID),
        entropy: Arc::new(HostEntropy),
        notify: Box::new(move || pm.raise_gpe(layout::event::VM_GENERATION)),
    });
    let step = "draw an identity for the virtual machine";
    frame.devices.push(Arc::new(device.map_err(|source| BuildError::Host { step, source })?));
    Ok(())
}

fn add_serial(
    frame: &mut Frame,
    spec: &ValidSpec,
    file: Option<File>,
    console: &Arc<Console>,
) -> Result<Arc<Serial>, BuildError> {
    let waiting = Arc::downgrade(console);
    let room = Box::new(move || {
        if let Some(console) = Weak::upgrade(&waiting) {
            console.deliver_input();
        }
    });
    let line = frame.vm.interrupt_line(irq::COM1);
    let serial = Arc::new(Serial::new("serial0", line, serial_sink(&spec.serial, file, console), room));
    insert(frame, port::COM1, SERIAL_LEN, Arc::clone(&serial))?;
    Ok(serial)
}

/// Where the first serial port writes.
fn serial_sink(serial: &SerialSpec, file: Option<File>, console: &Arc<Console>) -> Box<dyn Write + Send> {
    match (serial, file) {
        (SerialSpec::Console | SerialSpec::Stdio, _) => Box::new(ConsoleOutput(Arc::clone(console))),
        (SerialSpec::File(_), Some(file)) => Box::new(file),
        (SerialSpec::Null, _) | (SerialSpec::File(_), None) => Box::new(io::sink()),
    }
}

fn nvram(spec: &ValidSpec) -> NvramSizes {
    let regions = layout::ram_regions(spec.memory.bytes());
    let sum = |high: bool| {
        let parts = regions.iter().filter(|(start, _)| (start.0 >= layout::HIGH_RAM_START) == high);
        parts.map(|(_, len)| len).sum()
    };
    NvramSizes { below_4g: sum(false), above_4g: sum(true), cpus: u8::try_from(spec.cpus).unwrap_or(u8::MAX) }
}

fn insert(
    frame: &mut Frame,
    start: u16,
    len: u64,
    device: Arc<impl BusDevice + Lifecycle + 'static>,
) -> Result<(), BuildError> {
    place(frame, start, len, device.clone())?;
    frame.devices.push(device);
    Ok(())
}

fn place(frame: &Frame, start: u16, len: u64, device: Arc<dyn BusDevice>) -> Result<(), BuildError> {
    let placed = frame.ports.insert(u64::from(start), len, device);
    placed.map_err(|error| layout_fault(&format!("the device at port {start:#x}"), &error))
}

/// The serial port writes to the console.
struct ConsoleOutput(Arc<Console>);

impl Write for ConsoleOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_output(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The console writes to the serial port.
struct SerialInput(Arc<Serial>);

impl InputSink for SerialInput {
    fn accept(&self, bytes: &[u8]) -> usize {
        self.0.enqueue_input(bytes)
    }
}
