// SPDX-License-Identifier: Apache-2.0
//! What the console device is.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flotilla_device_model::console::{PortHost, Wake};
use flotilla_device_model::state::{DeviceState, StateError};
use flotilla_device_model::virtio::{ActivateError, Activation};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::control::Talk;
use super::metrics::ConsoleMetrics;
use super::service::{ConsoleService, Queues};
use super::state::ConsoleState;
use crate::virtio::common::VirtioCommon;
use crate::virtio::device::{Device, Model};
use crate::virtio::queue::{DeviceQueue, RING_FEATURES};
use crate::virtio::worker::Sources;

/// Device type of virtio 1.2 §5.3.
const VIRTIO_ID_CONSOLE: u32 = 3;
/// The configuration space has the size of the terminal (virtio 1.2 §5.3.3), as a mask.
const VIRTIO_CONSOLE_F_SIZE: u64 = 1 << 0;
/// There are several ports, and control queues. Offered when there is a port beside the terminal.
pub(super) const VIRTIO_CONSOLE_F_MULTIPORT: u64 = 1 << 1;
/// Entries of a queue. A driver keeps a page for each entry of a queue to it.
const QUEUE_MAX_SIZE: u16 = 32;
/// Stands for a queue: the event that says that a port has changed on the host.
pub(super) const CHANGED: u16 = u16::MAX;

/// A port beside the terminal.
pub struct Port {
    /// Its name.
    pub name: String,
    /// The host's end of it.
    pub host: Arc<dyn PortHost>,
}

/// A console device.
pub type ConsoleDevice = Device<Ports>;

/// What is particular about it.
pub struct Ports {
    shared: Arc<Shared>,
    changed: Arc<EventFd>,
}

/// What the thread of the device and its owner have in common.
pub(super) struct Shared {
    /// The terminal, then the ports of [`Shared::names`].
    pub(super) hosts: Vec<Arc<dyn PortHost>>,
    names: Vec<String>,
    pub(super) metrics: ConsoleMetrics,
    talk: Mutex<Talk>,
}

impl Shared {
    /// The name of a port; the terminal has none.
    pub(super) fn name(&self, port: usize) -> Option<&str> {
        port.checked_sub(1).and_then(|index| self.names.get(index)).map(String::as_str)
    }

    pub(super) fn talk(&self) -> MutexGuard<'_, Talk> {
        self.talk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConsoleDevice {
    /// A device with the terminal `terminal` and further ports.
    ///
    /// # Errors
    /// When the host has no descriptor left.
    pub fn new(name: impl Into<String>, terminal: Arc<dyn PortHost>, ports: Vec<Port>) -> io::Result<Self> {
        let count = ports.len() + 1;
        // A terminal alone needs no conversation about ports: the driver has it as soon as it has the device, before the kernel
        // opens the console for its first process.
        let (multiport, queues) =
            if ports.is_empty() { (0, 2) } else { (VIRTIO_CONSOLE_F_MULTIPORT, 2 * (count + 1)) };
        let features = RING_FEATURES | VIRTIO_CONSOLE_F_SIZE | multiport;
        let common = VirtioCommon::new(name, features, vec![QUEUE_MAX_SIZE; queues]);
        let changed = Arc::new(EventFd::new(EFD_NONBLOCK)?);
        let (names, others): (Vec<_>, Vec<_>) = ports.into_iter().map(|port| (port.name, port.host)).unzip();
        let hosts: Vec<_> = std::iter::once(terminal).chain(others).collect();
        for host in &hosts {
            let event = Arc::clone(&changed);
            // A full counter means that it is to be woken already.
            let wake: Wake = Arc::new(move || drop(event.write(1)));
            host.watch(wake);
        }
        let (metrics, talk) = (ConsoleMetrics::default(), Mutex::new(Talk::new(count)));
        let shared = Arc::new(Shared { hosts, names, metrics, talk });
        Ok(Self::with(common, Ports { shared, changed }))
    }
}

impl Model for Ports {
    type Service = ConsoleService;

    const DEVICE_TYPE: u32 = VIRTIO_ID_CONSOLE;

    /// Columns, rows and the number of ports (virtio 1.2 §5.3.4). Emergency writes are not offered.
    fn config(&self) -> Vec<u8> {
        let size = self.shared.hosts.first().and_then(|terminal| terminal.size());
        let (columns, rows) = size.map_or((0, 0), |size| (size.columns, size.rows));
        let ports = u32::try_from(self.shared.hosts.len()).unwrap_or(u32::MAX);
        let words = [columns.to_le_bytes(), rows.to_le_bytes()].concat();
        [words.as_slice(), &ports.to_le_bytes(), &[0; 4]].concat()
    }

    fn activate(
        &self,
        common: &VirtioCommon<ConsoleService>,
        activation: Activation,
    ) -> Result<(), ActivateError> {
        let Activation { memory, features, queues, interrupt } = activation;
        let mut doorbells = vec![(CHANGED, Arc::clone(&self.changed))];
        let mut sorted = Queues::new(features & VIRTIO_CONSOLE_F_MULTIPORT != 0, self.shared.hosts.len());
        for (index, active) in (0..).zip(queues) {
            let Some(active) = active else { continue };
            let doorbell = Arc::clone(&active.doorbell);
            let queue =
                DeviceQueue::new(index, active, Arc::clone(&memory), features, Arc::clone(&interrupt));
            if sorted.insert(queue) {
                doorbells.push((index, doorbell));
            }
        }
        if let Some(index) = sorted.missing() {
            return Err(ActivateError::QueueMissing { index });
        }
        let service = ConsoleService::new(sorted, Arc::clone(&self.shared), interrupt);
        common.start("virtio-console", service, Sources { doorbells, descriptors: Vec::new() })?;
        Ok(())
    }

    fn stopped(&self, _services: Vec<ConsoleService>) {
        *self.shared.talk() = Talk::new(self.shared.hosts.len());
    }

    fn save(&self, features: u64) -> Result<DeviceState, StateError> {
        ConsoleState::of(features, self.shared.names.clone(), self.shared.talk().clone()).pack()
    }

    fn check(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        ConsoleState::unpack(state, features, &self.shared.names).map(drop)
    }

    fn restore(&self, features: u64, state: &DeviceState) -> Result<(), StateError> {
        *self.shared.talk() = ConsoleState::unpack(state, features, &self.shared.names)?;
        Ok(())
    }

    fn metrics(&self) -> Vec<(&'static str, u64)> {
        self.shared.metrics.values()
    }
}
