// SPDX-License-Identifier: Apache-2.0
//! Entry points for fuzzers. Each takes any bytes, drives a part of the crate with them as a hostile guest would, and
//! returns; a panic, a hang or unbounded growth is a finding.

use std::io::{self, Write};
use std::sync::Arc;

use flotilla_device_model::bus::{Bus, BusDevice};
use flotilla_device_model::lifecycle::Lifecycle;
use flotilla_device_model::virtio::{Activation, VirtioDevice};
use flotilla_memory::{Bytes, GuestAddress, GuestMemory};
use flotilla_testing::doorbells::FakeDoorbells;
use flotilla_testing::driver::{Buffer, FakeQueue};
use flotilla_testing::interrupts::{FakeLine, FakeMsi, FakeVirtioInterrupt};
use flotilla_testing::memory::guest_memory;
use flotilla_testing::signals::FakeSignals;
use flotilla_testing::sockets::FakeSocketHost;

use crate::legacy::acpi_pm::AcpiPm;
use crate::legacy::clock::HostClock;
use crate::legacy::i8042::I8042;
use crate::legacy::pvpanic::PvPanic;
use crate::legacy::reset::ResetControl;
use crate::legacy::rtc::{NvramSizes, Rtc};
use crate::legacy::serial::Serial;
use crate::legacy::watchdog::device::{Expiry, Watchdog};
use crate::pci::bridges::{host_bridge, isa_bridge};
use crate::pci::memory::{PciMemory, Placement};
use crate::pci::ranges::RangeAllocator;
use crate::pci::root::{Bdf, ConfigPorts, PciRoot};
use crate::transport::mmio::device::{VirtioMmio, VirtioMmioParts};
use crate::transport::pci::device::{VirtioPci, VirtioPciParts};
use crate::virtio::rng::device::Rng;
use crate::virtio::rng::source::EntropySource;
use crate::virtio::vsock::device::Vsock;

/// RAM of the fuzzed machine in bytes.
const RAM: usize = 1 << 20;
const BAR_WINDOW: u64 = 0xc000_0000;
/// Most accesses of one run.
const MAX_STEPS: usize = 4096;

struct Zeroes;

impl EntropySource for Zeroes {
    fn fill(&self, data: &mut [u8]) -> io::Result<()> {
        data.fill(0);
        Ok(())
    }
}

/// One access out of eight bytes of input: target, offset, width, value.
struct Step {
    target: u8,
    write: bool,
    width: usize,
    offset: u64,
    value: [u8; 8],
}

fn steps(data: &[u8]) -> impl Iterator<Item = Step> {
    data.chunks_exact(8).take(MAX_STEPS).filter_map(|chunk| {
        let &[what, offset_low, offset_middle, offset_high, a, b, c, d] = chunk else { return None };
        let width = [1, 2, 4, 8].into_iter().nth(usize::from(what >> 1 & 3))?;
        let offset = u64::from(u32::from_le_bytes([offset_low, offset_middle, offset_high, 0]));
        Some(Step { target: what >> 3, write: what & 1 != 0, width, offset, value: [a, b, c, d, a, b, c, d] })
    })
}

impl Step {
    fn run(&self, device: &dyn BusDevice, offset: u64) {
        let mut value = self.value;
        let data = value.get_mut(..self.width).unwrap_or_default();
        if self.write { device.write(offset, data) } else { device.read(offset, data) }
    }
}

/// A virtio-pci function with an entropy device: configuration space, BAR, doorbells, rings, pause, save, restore.
pub fn fuzz_virtio_pci(data: &[u8]) {
    let memory = guest_memory(RAM);
    let Some((function, root, bus)) = virtio_function(&memory) else { return };
    let mut queue = FakeQueue::new(&memory, 0x1000, 16);
    let bar = |step: &Step, offset: u64| {
        let mut value = step.value;
        let data = value.get_mut(..step.width).unwrap_or_default();
        let address = BAR_WINDOW + offset;
        if step.write {
            bus.write(address, data)
        } else {
            bus.read(address, data)
        };
    };
    for step in steps(data) {
        match step.target {
            0..4 => step.run(&*root, step.offset & 0xfff),
            // The common configuration, where most of the states are.
            4..18 => bar(&step, step.offset & 0x3f),
            18..22 => bar(&step, 0x8000 + (step.offset & 0x3f)),
            22..26 => bar(&step, step.offset & 0x7_ffff),
            26 => queue.scribble(&step.value, step.value.first().copied().unwrap_or(0).into()),
            27 => bar(&Step { write: true, ..step }, 0x6000),
            28 => {
                function.pause();
                function.resume();
            }
            29 => {
                function.pause();
                if let Ok(state) = function.save() {
                    // Over a working device it is refused, over an idle one it changes nothing.
                    let _ = function.restore(&state);
                }
                function.resume();
            }
            30 => {
                function.pause();
                function.reset();
                function.resume();
            }
            // A driver that does everything right, so that the states behind it are reached.
            _ => well_behaved(&bus, &queue),
        }
    }
    // Takes the BAR off the bus: bus and function hold each other while it is mapped.
    if let Some(address) = Bdf::new(0, 0, 0) {
        root.write_config(address, 4, &[0]);
    }
}

fn virtio_function(memory: &Arc<GuestMemory>) -> Option<(Arc<VirtioPci>, Arc<PciRoot>, Arc<Bus>)> {
    let bus = Arc::new(Bus::new());
    let low = RangeAllocator::new(BAR_WINDOW, 1 << 24)?;
    let high = RangeAllocator::new(1 << 40, 1 << 24)?;
    let function = VirtioPci::new(VirtioPciParts {
        device: Arc::new(Rng::new("rng0", Arc::new(Zeroes))),
        memory: Arc::clone(memory),
        msi: &FakeMsi::default(),
        doorbells: Arc::new(FakeDoorbells::default()),
        pci_memory: Arc::new(PciMemory::new(Arc::clone(&bus), low, high)),
        placement: Placement::Below4G,
    });
    let function = function.ok()?;
    let root = Arc::new(PciRoot::new());
    root.insert(Bdf::new(0, 0, 0)?, Arc::clone(&function) as _).ok()?;
    root.write_config(Bdf::new(0, 0, 0)?, 4, &[6]);
    Some((function, root, bus))
}

fn well_behaved(bus: &Bus, queue: &FakeQueue) {
    let writes: [(u64, usize, u64); 13] = [
        (0x14, 1, 0),
        (0x14, 1, 1),
        (0x14, 1, 3),
        (0x08, 4, 1),
        (0x0c, 4, 1),
        (0x14, 1, 11),
        (0x16, 2, 0),
        (0x18, 2, queue.size.into()),
        (0x20, 8, queue.descriptors),
        (0x28, 8, queue.available),
        (0x30, 8, queue.used),
        (0x1c, 2, 1),
        (0x14, 1, 15),
    ];
    for (offset, width, value) in writes {
        bus.write(BAR_WINDOW + offset, value.to_le_bytes().get(..width).unwrap_or_default());
    }
}

/// A virtio-mmio page with an entropy device: registers, doorbells, rings, pause, save, restore.
pub fn fuzz_virtio_mmio(data: &[u8]) {
    let memory = guest_memory(RAM);
    let mut queue = FakeQueue::new(&memory, 0x1000, 16);
    let page = VirtioMmio::new(VirtioMmioParts {
        device: Arc::new(Rng::new("rng0", Arc::new(Zeroes))),
        memory: Arc::clone(&memory),
        line: Arc::new(FakeLine::default()),
        doorbells: Arc::new(FakeDoorbells::default()),
        address: 0xd000_0000,
    });
    let Ok(page) = page else { return };
    for step in steps(data) {
        match step.target {
            // Whole registers, where the states are.
            0..16 => Step { width: 4, ..step }.run(&page, step.offset & 0xfc),
            16..24 => step.run(&page, step.offset & 0x1fff),
            24..26 => queue.scribble(&step.value, step.value.first().copied().unwrap_or(0).into()),
            26 => page.write(0x50, &step.value[..4]),
            27 => {
                page.pause();
                page.resume();
            }
            28 => {
                page.pause();
                if let Ok(state) = page.save() {
                    // Over a working device it is refused, over an idle one it changes nothing.
                    let _ = page.restore(&state);
                }
                page.resume();
            }
            29 => {
                page.pause();
                page.reset();
                page.resume();
            }
            _ => drive_page(&page, &queue),
        }
    }
    page.reset();
}

/// A driver that does everything right, so that the states behind it are reached.
fn drive_page(page: &VirtioMmio, queue: &FakeQueue) {
    let low = |address: u64| u32::try_from(address).unwrap_or(0);
    for (register, value) in [
        (0x70, 0),
        (0x70, 1),
        (0x70, 3),
        (0x24, 1),
        (0x20, 1),
        (0x70, 11),
        (0x30, 0),
        (0x38, queue.size.into()),
        (0x80, low(queue.descriptors)),
        (0x90, low(queue.available)),
        (0xa0, low(queue.used)),
        (0x44, 1),
        (0x70, 15),
    ] {
        page.write(register, &value.to_le_bytes());
    }
}

/// The rings of an entropy device, filled with the input.
pub fn fuzz_rings(data: &[u8]) {
    let memory = guest_memory(RAM);
    let mut queue = FakeQueue::new(&memory, 0x1000, 16);
    let Some((&[features, waiting], rings)) = data.split_first_chunk::<2>() else { return };
    queue.scribble(rings, waiting.into());
    let rng = Rng::new("rng0", Arc::new(Zeroes));
    let activation = Activation {
        memory,
        features: u64::from(features & 3) << 28,
        queues: vec![Some(queue.activate())],
        interrupt: Arc::new(FakeVirtioInterrupt::default()),
    };
    if rng.activate(activation).is_ok() {
        rng.pause();
        rng.resume();
    }
    rng.deactivate();
}

/// Packets of a guest, and what two host programs write, to a socket device.
pub fn fuzz_vsock(data: &[u8]) {
    let memory = guest_memory(RAM);
    let (mut rx, mut tx) = (FakeQueue::new(&memory, 0x1000, 64), FakeQueue::new(&memory, 0x3000, 64));
    let event = FakeQueue::new(&memory, 0x5000, 8);
    let host = Arc::new(FakeSocketHost::new(&[7]));
    let vsock = Vsock::new("vsock", 3, 8, host.clone());
    let queues = [&rx, &tx, &event].map(|queue| Some(queue.activate()));
    let interrupt = Arc::new(FakeVirtioInterrupt::default());
    let activation =
        Activation { memory: Arc::clone(&memory), features: 0, queues: queues.into(), interrupt };
    if vsock.activate(activation).is_err() {
        return;
    }
    let mut programs = [host.visit(), host.visit()];
    for chunk in data.chunks(48).take(MAX_STEPS / 8) {
        let Some((&what, bytes)) = chunk.split_first() else { continue };
        vsock.pause();
        if let Some(program) = programs.get_mut(usize::from(what & 3)) {
            // What a device that hung up does not take is of no interest.
            let _ = program.set_nonblocking(true).and_then(|()| program.write_all(bytes));
        } else {
            // From our guest to the host, whatever else it says.
            let mut packet = [0; 80];
            for (place, byte) in packet.iter_mut().skip(16).zip(bytes) {
                *place = *byte;
            }
            let cids = [3_u64.to_le_bytes(), 2_u64.to_le_bytes()].concat();
            let _ = memory.write_slice(&packet, GuestAddress(0x8000));
            let _ = memory.write_slice(&cids, GuestAddress(0x8000));
            tx.add(&[Buffer::Readable(0x8000, 20 + u32::from(what >> 2))]);
        }
        rx.add(&[Buffer::Writable(0x9000, 44 + u32::from(what))]);
        tx.ring();
        rx.ring();
        vsock.resume();
    }
    vsock.deactivate();
}

/// Every legacy device and the configuration ports.
pub fn fuzz_legacy(data: &[u8]) {
    let signals = Arc::new(FakeSignals::default());
    let clock = Arc::new(HostClock::new());
    let line = || Arc::new(FakeLine::default());
    let pm = Arc::new(AcpiPm::new(line(), signals.clone(), clock.clone()));
    let root = Arc::new(PciRoot::new());
    for (device, bridge) in [(0, host_bridge(0xb000_0000)), (31, isa_bridge(0x600))] {
        let _ = Bdf::new(0, device, 0).map(|bdf| root.insert(bdf, Arc::new(bridge)));
    }
    let serial = Arc::new(Serial::new("serial0", line(), Box::new(io::sink()), Box::new(|| ())));
    let reset = Arc::new(ResetControl::new(signals.clone()));
    let watchdog = Watchdog::new(clock.clone(), signals.clone(), Expiry::Reset);
    let rtc = Rtc::new(clock, line(), NvramSizes { below_4g: 1 << 30, above_4g: 0, cpus: 1 });
    let devices: [Arc<dyn BusDevice>; 9] = [
        serial.clone(),
        Arc::new(I8042::new(line(), signals.clone())),
        Arc::new(rtc),
        pm.clone(),
        Arc::new(pm.smi_command()),
        Arc::new(ConfigPorts::new(Arc::clone(&root), reset)),
        Arc::new(PvPanic::new(signals)),
        Arc::new(watchdog),
        root,
    ];
    for step in steps(data) {
        if let Some(device) = devices.get(usize::from(step.target % 9)) {
            step.run(device.as_ref(), step.offset & 0xf_ffff);
            step.run(device.as_ref(), step.offset & 0x7);
        }
        serial.enqueue_input(&step.value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]

        #[test]
        fn virtio_pci_survives_any_program(data in prop::collection::vec(any::<u8>(), 0..4000)) {
            super::fuzz_virtio_pci(&data);
        }

        #[test]
        fn virtio_mmio_survives_any_program(data in prop::collection::vec(any::<u8>(), 0..4000)) {
            super::fuzz_virtio_mmio(&data);
        }

        #[test]
        fn rings_survive_any_content(data in prop::collection::vec(any::<u8>(), 0..600)) {
            super::fuzz_rings(&data);
        }

        #[test]
        fn vsock_survives_any_packets(data in prop::collection::vec(any::<u8>(), 0..2000)) {
            super::fuzz_vsock(&data);
        }

        #[test]
        fn legacy_survives_any_program(data in prop::collection::vec(any::<u8>(), 0..4000)) {
            super::fuzz_legacy(&data);
        }
    }
}
