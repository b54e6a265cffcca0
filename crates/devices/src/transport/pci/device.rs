// SPDX-License-Identifier: Apache-2.0
//! The function: configuration space, BAR, activation, reset, saving.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::MsiVectors;
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{Activation, ActiveQueue, Doorbells, VirtioDevice, VirtioInterrupt};
use flotilla_memory::GuestMemory;
use thiserror::Error;

use super::common::Common;
use super::interrupt::Interrupts;
use super::layout::{
    BAR_SIZE, COMMON_LEN, DEVICE, DEVICE_LEN, ISR, MAX_QUEUES, MSIX_CONTROL, NOTIFY, NOTIFY_LEN,
    NOTIFY_MULTIPLIER, PENDING, TABLE, WINDOW_BAR, WINDOW_DATA, WINDOW_LEN, WINDOW_OFFSET, config_space,
    doorbell,
};
use super::metrics::PciMetrics;
use super::registers::{Function, Transport};
use super::state::{KIND, PciState, VERSION, impossible};
use crate::pci::PciFunction;
use crate::pci::bar::Bar;
use crate::pci::config::{BAR0, COMMAND, COMMAND_MEMORY, ConfigSpace};
use crate::pci::memory::{MapError, PciMemory, Placement};
use crate::pci::msix::Msix;
use crate::transport::doorbells::DoorbellSet;
use crate::transport::negotiation::StatusChange;
use crate::transport::queues::{NO_VECTOR, is_size};

/// What a function is built from.
pub struct VirtioPciParts<'a> {
    /// The device behind the transport.
    pub device: Arc<dyn VirtioDevice>,
    /// The machine's RAM.
    pub memory: Arc<GuestMemory>,
    /// Source of MSI-X vectors: one per queue and one for configuration changes are taken.
    pub msi: &'a dyn MsiVectors,
    /// Binds doorbells to eventfds.
    pub doorbells: Arc<dyn Doorbells>,
    /// Windows and bus for the BAR.
    pub pci_memory: Arc<PciMemory>,
    /// Where the BAR is placed.
    pub placement: Placement,
}

/// A function could not be built.
#[derive(Debug, Error)]
pub enum VirtioPciError {
    /// No place for the BAR.
    #[error("Cannot place the BAR of {device}")]
    Place {
        /// Name of the device.
        device: String,
        /// Why not.
        #[source]
        source: MapError,
    },
    /// The device has more queues than the transport can address, or a size that is no power of two.
    #[error("Device {device} has queues that virtio-pci cannot express: use at most {max} queues of a power of two", max = MAX_QUEUES)]
    Queues {
        /// Name of the device.
        device: String,
    },
    /// The host refused an eventfd or a vector.
    #[error("Cannot create doorbells or interrupt vectors of {device}: raise the limit of open files")]
    Host {
        /// Name of the device.
        device: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A virtio device as a PCI function.
///
/// Locks, in the order they are taken: `transport`, `function`, then those of `doorbells` and `interrupts`. The
/// device's threads take only the last.
pub struct VirtioPci {
    own: Weak<Self>,
    pub(super) device: Arc<dyn VirtioDevice>,
    memory: Arc<GuestMemory>,
    pci_memory: Arc<PciMemory>,
    doorbells: DoorbellSet,
    pub(super) interrupts: Arc<Interrupts>,
    function: Mutex<Function>,
    transport: Mutex<Transport>,
    metrics: Arc<PciMetrics>,
}

impl VirtioPci {
    /// A function in its state after power-on: its BAR has an address but is not decoded.
    pub fn new(parts: VirtioPciParts<'_>) -> Result<Arc<Self>, VirtioPciError> {
        let VirtioPciParts { device, memory, msi, doorbells, pci_memory, placement } = parts;
        let name = || device.name().to_owned();
        let sizes = device.queue_max_sizes();
        if sizes.len() > MAX_QUEUES || sizes.iter().any(|size| !is_size(*size, 1 << 15)) {
            return Err(VirtioPciError::Queues { device: name() });
        }
        let vectors = u16::try_from(sizes.len() + 1).unwrap_or(NO_VECTOR);
        let metrics = Arc::new(PciMetrics::default());
        let host = |source| VirtioPciError::Host { device: name(), source };
        let msix = Msix::new(vectors, msi, Arc::clone(&metrics.msi_failures)).map_err(host)?;
        let doorbells =
            DoorbellSet::new(sizes.len(), doorbell, doorbells, Arc::clone(&metrics.doorbell_failures));
        let doorbells = doorbells.map_err(host)?;
        let address = pci_memory.place(BAR_SIZE, placement);
        let address = address.map_err(|source| VirtioPciError::Place { device: name(), source })?;
        let bar = Bar::new(BAR_SIZE);
        let space = config_space(device.device_type(), &bar, address, &msix);
        let common = Common::new(device.device_features(), sizes);
        let interrupts = Arc::new(Interrupts::new(msix, sizes.len(), Arc::clone(&metrics)));
        Ok(Arc::new_cyclic(|own| Self {
            own: Weak::clone(own),
            device,
            memory,
            pci_memory,
            doorbells,
            interrupts,
            function: Mutex::new(Function { space, bar }),
            transport: Mutex::new(Transport { common, active: false, activate_on_resume: false }),
            metrics,
        }))
    }

    /// The device behind the transport.
    pub fn device(&self) -> &Arc<dyn VirtioDevice> {
        &self.device
    }

    pub(super) fn function(&self) -> MutexGuard<'_, Function> {
        self.function.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn transport(&self) -> MutexGuard<'_, Transport> {
        self.transport.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the mapping follow the registers, if the machine can give what they say.
    fn follow_bar(&self, function: &mut Function) {
        let decodes = function.space.word(COMMAND) & COMMAND_MEMORY != 0;
        let low = function.space.dword(BAR0);
        let high = function.space.dword(BAR0 + 4);
        let register = u64::from(low) | u64::from(high) << 32;
        if let Some(wanted) = function.bar.wanted(register, decodes)
            && self.map(function, wanted.to).is_err()
        {
            self.metrics.bar_move_failures.increment();
        }
    }

    fn map(&self, function: &mut Function, to: Option<u64>) -> Result<(), MapError> {
        let Some(own) = self.own.upgrade() else { return Ok(()) };
        let own: Arc<dyn BusDevice> = own;
        self.pci_memory.relocate(function.bar.in_force(), to, function.bar.size(), &own)?;
        function.bar.moved(to);
        self.doorbells.set_base(to);
        self.metrics.bar_moves.increment();
        Ok(())
    }

    /// What the `VIRTIO_PCI_CAP_PCI_CFG` window shows: offset in the BAR and length, if the driver set it up
    /// rightly (virtio 1.2 §4.1.4.9.1).
    fn window(space: &ConfigSpace) -> Option<(u64, usize)> {
        let mut bar = [0];
        space.read(WINDOW_BAR, &mut bar);
        let offset = space.dword(WINDOW_OFFSET);
        let len = space.dword(WINDOW_LEN);
        let inside = u64::from(offset).saturating_add(u64::from(len)) <= BAR_SIZE;
        let sound = bar == [0] && matches!(len, 1 | 2 | 4) && offset.is_multiple_of(len) && inside;
        sound.then_some((u64::from(offset), usize::try_from(len).ok()?))
    }

    fn write_common(&self, offset: u64, data: &[u8]) {
        let mut transport = self.transport();
        match transport.common.write(offset, data, &self.interrupts) {
            StatusChange::Progress => {}
            StatusChange::Refused => self.metrics.refused_writes.increment(),
            StatusChange::Reset => {
                self.metrics.resets.increment();
                self.reset_device(&mut transport);
            }
            StatusChange::Activate => self.activate(&mut transport),
        }
    }

    /// Hands the queues to the device, or asks the driver to reset it.
    fn activate(&self, transport: &mut Transport) {
        // Marked first: after a failure half-way, a reset must deactivate.
        transport.active = true;
        self.metrics.activations.increment();
        let result = self.queues_for(&transport.common).map(|queues| {
            self.device.activate(Activation {
                memory: Arc::clone(&self.memory),
                features: transport.common.negotiation.accepted(),
                queues,
                interrupt: Arc::clone(&self.interrupts) as Arc<dyn VirtioInterrupt>,
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
        self.interrupts.needs_reset();
    }

    /// All queues, or `None` when an enabled one is not valid.
    fn queues_for(&self, common: &Common) -> Option<Vec<Option<ActiveQueue>>> {
        let queues = common.queues.iter().enumerate().map(|(index, registers)| {
            if !registers.enabled {
                return Some(None);
            }
            let queue = registers.build(common.max_size(index), &self.memory)?;
            Some(Some(ActiveQueue { queue, doorbell: self.doorbells.event(index)? }))
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
        transport.common.reset();
        self.interrupts.reset();
    }
}

impl PciFunction for VirtioPci {
    fn read_config(&self, offset: u16, data: &mut [u8]) {
        let window = {
            let function = self.function();
            function.space.read(offset, data);
            if offset != WINDOW_DATA {
                return;
            }
            Self::window(&function.space)
        };
        if let Some((at, len)) = window {
            let mut value = [0; 4];
            self.read(at, value.get_mut(..len).unwrap_or_default());
            for (byte, new) in data.iter_mut().zip(value) {
                *byte = new;
            }
        }
    }

    fn write_config(&self, offset: u16, data: &[u8]) {
        let window = {
            let mut function = self.function();
            function.space.write(offset, data);
            let touches = |register: u16, len: u16| {
                let end = usize::from(offset) + data.len();
                usize::from(offset) < usize::from(register + len) && usize::from(register) < end
            };
            if touches(MSIX_CONTROL, 2) {
                let control = function.space.word(MSIX_CONTROL);
                self.interrupts.msix().set_control(control);
            }
            if touches(COMMAND, 2) || touches(BAR0, 8) {
                self.follow_bar(&mut function);
            }
            if offset == WINDOW_DATA { Self::window(&function.space) } else { None }
        };
        if let Some((at, len)) = window
            && let Some(value) = data.get(..len)
        {
            self.write(at, value);
        }
    }
}

impl BusDevice for VirtioPci {
    fn read(&self, offset: u64, data: &mut [u8]) {
        match offset {
            0..COMMON_LEN => self.transport().common.read(offset, data, &self.interrupts),
            ISR => {
                data.fill(0);
                if let Some(byte) = data.first_mut() {
                    *byte = self.interrupts.take_isr();
                }
            }
            DEVICE.. if offset < DEVICE + DEVICE_LEN => self.device.read_config(offset - DEVICE, data),
            TABLE..PENDING => self.interrupts.msix().read_table(offset - TABLE, data),
            PENDING.. => self.interrupts.msix().read_pending(offset - PENDING, data),
            _ => data.fill(0),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match offset {
            0..COMMON_LEN => self.write_common(offset, data),
            DEVICE.. if offset < DEVICE + DEVICE_LEN => self.device.write_config(offset - DEVICE, data),
            NOTIFY.. if offset < NOTIFY + NOTIFY_LEN => {
                self.metrics.doorbell_exits.increment();
                let queue = (offset - NOTIFY) / u64::from(NOTIFY_MULTIPLIER);
                // Without a lock: the device may do the driver's work right here.
                if !u16::try_from(queue).is_ok_and(|queue| self.device.doorbell(queue))
                    && !usize::try_from(queue).is_ok_and(|queue| self.doorbells.ring(queue))
                {
                    self.metrics.refused_writes.increment();
                }
            }
            TABLE..PENDING => self.interrupts.msix().write_table(offset - TABLE, data),
            _ => {}
        }
    }
}

impl Lifecycle for VirtioPci {
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
            for queue in
                (0..).zip(&transport.common.queues).filter_map(|(at, queue)| queue.enabled.then_some(at))
            {
                self.interrupts.signal_queue(queue);
            }
        }
        drop(transport);
        self.interrupts.msix().release();
        self.device.resume();
    }

    fn reset(&self) {
        self.reset_device(&mut self.transport());
        self.device.reset();
        self.interrupts.msix().reset();
        let mut function = self.function();
        function.space.reset();
        self.follow_bar(&mut function);
    }

    fn save(&self) -> Result<DeviceState, StateError> {
        let device = self.device.save()?;
        let transport = self.transport();
        let positions = if transport.active { self.device.queues() } else { Vec::new() };
        let state = PciState::of(&transport, &self.function(), &self.interrupts, &positions, device);
        DeviceState::pack(KIND, VERSION, &state)
    }

    fn restore(&self, state: &DeviceState) -> Result<(), StateError> {
        let state: PciState = state.unpack(KIND, VERSION)?;
        let mut transport = self.transport();
        let mut function = self.function();
        if transport.active {
            return Err(StateError::NotNow {
                reason: "the device is active; restore into a freshly built machine",
            });
        }
        state.check(&function, &transport.common, &self.interrupts)?;
        let before = function.bar.in_force();
        self.map(&mut function, state.mapped_at).map_err(|_| impossible("mapped_at"))?;
        if let Err(error) = self.device.restore(&state.device) {
            // Back to where it was a moment ago; nobody else maps BARs while the machine is restored.
            let _ = self.map(&mut function, before);
            return Err(error);
        }
        state.apply(&mut function, &mut transport, &self.interrupts);
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        let mut values = self.device.metrics();
        values.extend(self.metrics.values());
        values
    }
}
