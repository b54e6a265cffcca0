// SPDX-License-Identifier: Apache-2.0
//! The PCI root with its bridges, and the virtio devices behind functions of their own.

use std::sync::Arc;

use flotilla_boot::layout::{ECAM, PCI_WINDOW_32, Window, port};
use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::interrupt::MsiVectors;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_devices::pci::PciFunction;
use flotilla_devices::pci::bridges::{host_bridge, isa_bridge};
use flotilla_devices::pci::memory::{PciMemory, Placement};
use flotilla_devices::pci::ranges::RangeAllocator;
use flotilla_devices::pci::root::{Bdf, ConfigPorts, PciRoot};
use flotilla_devices::transport::pci::device::{VirtioPci, VirtioPciParts};

use super::{Frame, layout_fault};
use crate::error::BuildError;

/// Device number of the ISA bridge; virtio devices count from 1 and must stay below.
const ISA_BRIDGE: u8 = 0x1f;
const CONFIG_PORTS_LEN: u64 = 8;

/// Adds everything on the PCI bus: bridges, then `devices` in their order. `reset_control` is port 0xcf9, which lies among
/// the configuration ports.
pub fn add(
    frame: &mut Frame,
    devices: Vec<Arc<dyn VirtioDevice>>,
    reset_control: Arc<dyn BusDevice>,
) -> Result<(), BuildError> {
    let mut bus = PciBus::new(frame)?;
    bus.insert_fixed(frame)?;
    for device in devices {
        bus.add_virtio(frame, device)?;
    }
    bus.connect(frame, reset_control)
}

/// The bus under construction.
struct PciBus {
    root: Arc<PciRoot>,
    memory: Arc<PciMemory>,
    msi: Arc<dyn MsiVectors>,
    placement: Placement,
    next: u8,
}

impl PciBus {
    fn new(frame: &Frame) -> Result<Self, BuildError> {
        let (low, high, placement) = windows(frame.window_64);
        let range = |window: Window| {
            RangeAllocator::new(window.start, window.len)
                .ok_or_else(|| layout_fault("PCI window", &"it is empty"))
        };
        let memory = PciMemory::new(Arc::clone(&frame.mmio), range(low)?, range(high)?);
        Ok(Self {
            root: Arc::new(PciRoot::new()),
            memory: Arc::new(memory),
            msi: frame.vm.msi_vectors(),
            placement,
            next: 1,
        })
    }

    fn insert_fixed(&self, frame: &mut Frame) -> Result<(), BuildError> {
        self.insert(frame, 0, Arc::new(host_bridge(ECAM.start)))?;
        self.insert(frame, ISA_BRIDGE, Arc::new(isa_bridge(port::ACPI_PM)))
    }

    fn add_virtio(&mut self, frame: &mut Frame, device: Arc<dyn VirtioDevice>) -> Result<(), BuildError> {
        let name = device.name().to_owned();
        let parts = VirtioPciParts {
            device,
            memory: Arc::clone(&frame.memory),
            msi: self.msi.as_ref(),
            doorbells: frame.vm.doorbells(),
            pci_memory: Arc::clone(&self.memory),
            placement: self.placement,
        };
        let function =
            VirtioPci::new(parts).map_err(|error| layout_fault(&name, &crate::describe(&error)))?;
        let device = self.next;
        self.next = self.next.saturating_add(1);
        self.insert(frame, device, function)
    }

    fn insert(
        &self,
        frame: &mut Frame,
        device: u8,
        function: Arc<impl PciFunction + 'static>,
    ) -> Result<(), BuildError> {
        let name = function.name().to_owned();
        let bdf = Bdf::new(0, device, 0).ok_or_else(|| layout_fault(&name, &"the bus is full"))?;
        let as_function: Arc<dyn PciFunction> = function.clone();
        self.root.insert(bdf, as_function).map_err(|error| layout_fault(&name, &error))?;
        frame.devices.push(function);
        Ok(())
    }

    fn connect(self, frame: &mut Frame, reset_control: Arc<dyn BusDevice>) -> Result<(), BuildError> {
        let ports = Arc::new(ConfigPorts::new(Arc::clone(&self.root), reset_control));
        frame
            .ports
            .insert(u64::from(port::PCI_CONFIG), CONFIG_PORTS_LEN, ports.clone())
            .map_err(|error| layout_fault("PCI configuration ports", &error))?;
        frame
            .mmio
            .insert(ECAM.start, ECAM.len, self.root)
            .map_err(|error| layout_fault("PCI configuration space", &error))?;
        frame.devices.push(ports);
        Ok(())
    }
}

/// The two windows, and in which one BARs begin. A guest that cannot address the high window gets none: the
/// topmost page of the low one stands in for it, too small for any BAR of ours.
fn windows(window_64: Option<Window>) -> (Window, Window, Placement) {
    const PAGE: u64 = 4096;
    let Some(high) = window_64 else {
        let low = Window { len: PCI_WINDOW_32.len - PAGE, ..PCI_WINDOW_32 };
        return (low, Window { start: low.end(), len: PAGE }, Placement::Below4G);
    };
    (PCI_WINDOW_32, high, Placement::Above4G)
}
