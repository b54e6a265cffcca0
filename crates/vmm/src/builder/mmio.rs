// SPDX-License-Identifier: Apache-2.0
//! The virtio devices of a machine without PCI: a page of registers and an interrupt line each.

use std::sync::Arc;

use flotilla_boot::layout::{self, MmioSlot, port};
use flotilla_device_model::bus::BusDevice;
use flotilla_device_model::virtio::VirtioDevice;
use flotilla_devices::transport::mmio::device::{VirtioMmio, VirtioMmioParts};

use super::{Frame, hypervisor, layout_fault};
use crate::error::BuildError;

/// Adds `devices` in their order, and the reset control at its port.
pub fn add(
    frame: &mut Frame,
    devices: Vec<Arc<dyn VirtioDevice>>,
    reset_control: Arc<dyn BusDevice>,
) -> Result<(), BuildError> {
    let placed = frame.ports.insert(u64::from(port::RESET), 1, reset_control);
    placed.map_err(|error| layout_fault("the reset control register", &error))?;
    let slots = layout::mmio_slots(devices.len());
    let slots = slots.ok_or_else(|| layout_fault("the virtio devices", &"there are too many of them"))?;
    for (device, slot) in devices.into_iter().zip(slots) {
        add_virtio(frame, device, slot)?;
    }
    Ok(())
}

fn add_virtio(frame: &mut Frame, device: Arc<dyn VirtioDevice>, slot: MmioSlot) -> Result<(), BuildError> {
    let name = device.name().to_owned();
    let page = VirtioMmio::new(VirtioMmioParts {
        device,
        memory: Arc::clone(&frame.memory),
        line: frame.vm.edge_line(slot.line).map_err(hypervisor("wire a virtio device"))?,
        doorbells: frame.vm.doorbells(),
        address: slot.address,
    });
    let page = Arc::new(page.map_err(|error| layout_fault(&name, &crate::describe(&error)))?);
    let placed = frame.mmio.insert(slot.address, VirtioMmio::LEN, page.clone());
    placed.map_err(|error| layout_fault(&name, &error))?;
    frame.devices.push(page);
    Ok(())
}
