// SPDX-License-Identifier: Apache-2.0
//! The PCI root with its bridges and the virtio devices, in their fixed order: rng, disks, interfaces.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::os::fd::OwnedFd;
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
use flotilla_devices::virtio::block::device::Block;
use flotilla_devices::virtio::net::device::Net;
use flotilla_devices::virtio::rng::device::Rng;
use flotilla_devices::virtio::rng::source::HostEntropy;
use flotilla_spec::code::ErrorCode;
use flotilla_spec::{DiskSpec, InterfaceSpec, MacAddress, ValidSpec, Violation};

use super::{Frame, layout_fault};
use crate::error::BuildError;
use crate::resources::{disk_backend, tap_backend};

/// Device number of the ISA bridge; virtio devices count from 1 and must stay below.
const ISA_BRIDGE: u8 = 0x1f;
const CONFIG_PORTS_LEN: u64 = 8;

/// Adds everything on the PCI bus. `reset_control` is port 0xcf9, which lies among the configuration ports.
pub fn add(
    frame: &mut Frame,
    spec: &ValidSpec,
    disks: Vec<File>,
    taps: Vec<OwnedFd>,
    reset_control: Arc<dyn BusDevice>,
) -> Result<(), BuildError> {
    let mut bus = PciBus::new(frame)?;
    bus.insert_fixed(frame)?;
    if spec.rng {
        let rng = Rng::new("rng0", Arc::new(HostEntropy));
        bus.add_virtio(frame, Arc::new(rng.watched_by(Arc::clone(&frame.threads))))?;
    }
    for (index, (disk, file)) in spec.disks.iter().zip(disks).enumerate() {
        let block = disk_device(disk, file, &format!("$.disks[{index}].source"))?;
        bus.add_virtio(frame, Arc::new(block.watched_by(Arc::clone(&frame.threads))))?;
    }
    for (index, (interface, tap)) in spec.interfaces.iter().zip(taps).enumerate() {
        let net = interface_device(interface, tap, &format!("$.interfaces[{index}]"))?;
        bus.add_virtio(frame, Arc::new(net.watched_by(Arc::clone(&frame.threads))))?;
    }
    bus.connect(frame, reset_control)
}

fn disk_device(spec: &DiskSpec, file: File, field: &str) -> Result<Block, BuildError> {
    let backend = disk_backend(file, spec.read_only, field).map_err(BuildError::Resource)?;
    let serial = spec.serial.as_deref().unwrap_or(spec.id.as_str());
    let block = Block::new(format!("disk:{}", spec.id), Arc::new(backend), serial);
    block.map_err(|source| BuildError::Host { step: "open a queue on a disk", source })
}

fn interface_device(spec: &InterfaceSpec, tap: OwnedFd, field: &str) -> Result<Net, BuildError> {
    let backend = tap_backend(tap, &format!("{field}.tap")).map_err(BuildError::Resource)?;
    let mac = spec.mac.map_or_else(random_mac, MacAddress::octets);
    let net = Net::new(format!("net:{}", spec.id), Arc::new(backend), mac);
    net.map_err(|error| {
        let violation = Violation::new(ErrorCode::SpecMacInvalid, format!("{field}.mac"), error.to_string());
        BuildError::Resource(violation)
    })
}

/// A locally administered address that is most likely nobody else's.
fn random_mac() -> [u8; 6] {
    // Each `RandomState` has keys of its own from the host's random number generator.
    let mut mac = RandomState::new().build_hasher().finish().to_le_bytes();
    mac[0] = 0x02;
    let [mac @ .., _, _] = mac;
    mac
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
