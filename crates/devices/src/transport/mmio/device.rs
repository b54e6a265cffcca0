// SPDX-License-Identifier: Apache-2.0
//! The page: register accesses, activation, reset, saving.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::InterruptLine;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{Activation, ActiveQueue, Doorbells, VirtioDevice, VirtioInterrupt};
use flotilla_memory::GuestMemory;
use thiserror::Error;

use super::interrupt::Interrupt;
use super::metrics::MmioMetrics;
use super::registers::{CONFIG, PAGE_LEN, QUEUE_NOTIFY, Registers, Written, doorbell};
use super::state::{KIND, MmioState, VERSION};
use crate::transport::doorbells::DoorbellSet;
use crate::transport::negotiation::{DRIVER_OK, StatusChange};
use crate::transport::queues::is_size;

/// What a page of registers is built from.
pub struct VirtioMmioParts {
    /// The device behind the transport.
    pub device: Arc<dyn VirtioDevice>,
    /// The machine's RAM.
    pub memory: Arc<GuestMemory>,
    /// The interrupt of the device; its rising edge counts.
    pub line: Arc<dyn InterruptLine>,
    /// Binds doorbells to eventfds.
    pub doorbells: Arc<dyn Doorbells>,
    /// Where the page lies.
    pub address: u64,
}

/// A page could not be built.
#[derive(Debug, Error)]
pub enum VirtioMmioError {
    /// A size that is no power of two.
    #[error("Device {device} has queues that virtio-mmio cannot express: their sizes must be powers of two")]
    Queues {
        /// Name of the device.
        device: String,
    },
    /// The host refused an eventfd.
    #[error("Cannot create doorbells of {device}: raise the limit of open files")]
    Host {
        /// Name of the device.
        device: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

struct Transport {
    registers: Registers,
    active: bool,
    /// Restored while `DRIVER_OK` was set: activate at the next resume.
    activate_on_resume: bool,
}

/// A virtio device as a page of registers.
///
/// Locks, in the order they are taken: `transport`, then that of `doorbells`. The device's threads take neither.
pub struct VirtioMmio {
    device: Arc<dyn VirtioDevice>,
    memory: Arc<GuestMemory>,
    doorbells: DoorbellSet,
    interrupt: Arc<Interrupt>,
    transport: Mutex<Transport>,
    metrics: Arc<MmioMetrics>,
}

impl VirtioMmio {
    /// Bytes on the bus.
    pub const LEN: u64 = PAGE_LEN;

    /// A page in its state after power-on.
    pub fn new(parts: VirtioMmioParts) -> Result<Self, VirtioMmioError> {
        let VirtioMmioParts { device, memory, line, doorbells, address } = parts;
        let name = || device.name().to_owned();
        let sizes = device.queue_max_sizes();
        if sizes.iter().any(|size| !is_size(*size, 1 << 15)) {
            return Err(VirtioMmioError::Queues { device: name() });
        }
        let metrics = Arc::new(MmioMetrics::default());
        let doorbells =
            DoorbellSet::new(sizes.len(), doorbell, doorbells, Arc::clone(&metrics.doorbell_failures))
                .map_err(|source| VirtioMmioError::Host { device: name(), source })?;
        doorbells.set_base(Some(address));
        let registers = Registers::new(device.device_type(), device.device_features(), sizes);
        let interrupt = Arc::new(Interrupt::new(line, Arc::clone(&metrics)));
        let transport = Mutex::new(Transport { registers, active: false, activate_on_resume: false });
        Ok(Self { device, memory, doorbells, interrupt, transport, metrics })
    }

    fn transport(&self) -> MutexGuard<'_, Transport> {
        self.transport.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_register(&self, offset: u64, value: u32) {
        if offset == QUEUE_NOTIFY {
            // Without a lock: the device may do the driver's work right here.
            return self.ring(value);
        }
        let mut transport = self.transport();
        match transport.registers.write(offset, value, &self.interrupt) {
            Written::Taken | Written::Status(StatusChange::Progress) => {}
            Written::Refused | Written::Status(StatusChange::Refused) => {
                self.metrics.refused_writes.increment();
            }
            Written::Status(StatusChange::Reset) => {
                self.metrics.resets.increment();
                self.reset_device(&mut transport);
            }
            Written::Status(StatusChange::Activate) => self.activate(&mut transport),
            Written::Notify(queue) => self.ring(queue),
        }
    }

    fn ring(&self, queue: u32) {
        self.metrics.doorbell_exits.increment();
        if !u16::try_from(queue).is_ok_and(|queue| self.device.doorbell(queue))
            && !usize::try_from(queue).is_ok_and(|queue| self.doorbells.ring(queue))
        {
            self.metrics.refused_writes.increment();
        }
    }

    /// Hands the queues to the device, or asks the driver to reset it.
    fn activate(&self, transport: &mut Transport) {
        // Marked first: after a failure half-way, a reset must deactivate.
        transport.active = true;
        self.metrics.activations.increment();
        let result = self.queues_for(&transport.registers).map(|queues| {
            self.device.activate(Activation {
                memory: Arc::clone(&self.memory),
                features: transport.registers.negotiation.accepted(),
                queues,
                interrupt: Arc::clone(&self.interrupt) as Arc<dyn VirtioInterrupt>,
            })
        });
        match result {
            Some(Ok(())) => self.doorbells.set_active(!self.device.takes_doorbells()),
            Some(Err(error)) => {
                tracing::warn!(device = self.device.name(), %error, "device cannot start");
                self.fail_activation();
            }
            None => self.fail_activation(),
        }
    }

    fn fail_activation(&self) {
        self.metrics.activation_failures.increment();
        self.interrupt.needs_reset();
    }

    /// All queues, or `None` when one that is ready is not valid.
    fn queues_for(&self, registers: &Registers) -> Option<Vec<Option<ActiveQueue>>> {
        let queues = registers.queues.iter().enumerate().map(|(index, queue)| {
            if !queue.enabled {
                return Some(None);
            }
            let built = queue.build(registers.max_size(index), &self.memory)?;
            Some(Some(ActiveQueue { queue: built, doorbell: self.doorbells.event(index)? }))
        });
        queues.collect()
    }

    /// Stops the device and clears what the driver set, so that status reads 0.
    fn reset_device(&self, transport: &mut Transport) {
        self.doorbells.set_active(false);
        if std::mem::take(&mut transport.active) {
            self.device.deactivate();
        }
        self.doorbells.clear();
        transport.activate_on_resume = false;
        transport.registers.reset();
        self.interrupt.reset();
    }
}

impl BusDevice for VirtioMmio {
    fn read(&self, offset: u64, data: &mut [u8]) {
        if offset >= CONFIG {
            return self.device.read_config(offset - CONFIG, data);
        }
        // Registers are read whole (virtio 1.2 §4.2.2.2); anything else reads as zero.
        let value = match (data.len(), offset % 4) {
            (4, 0) => self.transport().registers.read(offset, &self.interrupt),
            _ => 0,
        };
        for (place, byte) in data.iter_mut().zip(value.to_le_bytes().into_iter().chain(std::iter::repeat(0)))
        {
            *place = byte;
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        if offset >= CONFIG {
            return self.device.write_config(offset - CONFIG, data);
        }
        match <[u8; 4]>::try_from(data) {
            Ok(bytes) if offset.is_multiple_of(4) => self.write_register(offset, u32::from_le_bytes(bytes)),
            _ => self.metrics.refused_writes.increment(),
        }
    }
}

impl Lifecycle for VirtioMmio {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn pause(&self) {
        self.device.pause();
    }

    fn resume(&self) {
        let mut transport = self.transport();
        if std::mem::take(&mut transport.activate_on_resume) {
            self.activate(&mut transport);
            // An interrupt may have been lost on the way here; one too many is harmless.
            self.interrupt.signal_queue(0);
        }
        drop(transport);
        self.device.resume();
    }

    fn reset(&self) {
        self.reset_device(&mut self.transport());
        self.device.reset();
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        let device = self.device.save()?;
        let transport = self.transport();
        let positions = if transport.active { self.device.queues() } else { Vec::new() };
        let state = MmioState::of(&transport.registers, &self.interrupt, &positions, device);
        DeviceState::pack(KIND, VERSION, &state)
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let state: MmioState = state.unpack(KIND, VERSION)?;
        let mut transport = self.transport();
        if transport.active {
            return Err(StateError::NotNow {
                reason: "the device is active; restore into a freshly built machine",
            });
        }
        state.check(&transport.registers)?;
        self.device.restore(&state.device)?;
        state.apply(&mut transport.registers, &self.interrupt);
        transport.activate_on_resume = state.status & DRIVER_OK != 0 && !state.needs_reset;
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let mut values = self.device.metrics();
        values.extend(self.metrics.values());
        values
    }
}
