// SPDX-License-Identifier: Apache-2.0
//! DSDT: what cannot be found by probing. PCI devices speak for themselves.

use acpi_tables::Aml;
use acpi_tables::aml::{
    AddressSpace, AddressSpaceCacheable, Arg, BufferData, Device, EISAName, Equal, IO, If, Interrupt,
    Memory32Fixed, Method, Name, Notify, Package, Path, ResourceTemplate, Return, Scope, Uuid, ZERO,
};
use acpi_tables::sdt::Sdt;

use super::{AcpiBus, AcpiOptions, OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes};
use crate::layout::{
    ECAM, IOAPIC, LAPIC, LAST_PCI_BUS, MmioSlot, PCI_WINDOW_32, VIRTIO_MMIO_PAGE, VM_GENERATION_ID, Window,
    event, irq, port,
};

const HEADER_LEN: u32 = 36;
const REVISION: u8 = 2;

/// Sleep type that the power management block takes for "off".
const SLEEP_TYPE_OFF: u8 = 5;
/// Functions that operating systems ask the host bridge for.
const PCI_DSM: &str = "e5c937d0-3553-4d7a-9117-ea4d19c3434d";
/// "Are the resources that firmware assigned to be kept?"
const DSM_KEEP_RESOURCES: u8 = 5;
/// Function 0 answers which functions there are: itself and number 5.
const DSM_FUNCTIONS: u8 = 1 | 1 << DSM_KEEP_RESOURCES;
/// The ISA bridge is device 0x1f, function 0.
const ISA_BRIDGE: u32 = 0x1f_0000;
/// Notification that something about a device has changed; the device says what.
const DEVICE_CHANGED: u8 = 0x80;
/// Present, enabled, shown, working.
const STATUS_PRESENT: u8 = 0xf;

pub(super) fn dsdt(options: &AcpiOptions<'_>) -> Vec<u8> {
    let mut table = Sdt::new(*b"DSDT", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    let devices = match &options.bus {
        AcpiBus::Pci { window_64 } => [host_bridge(*window_64), motherboard(true)].concat(),
        AcpiBus::VirtioMmio(slots) => [isa_devices(), virtio_devices(slots), motherboard(false)].concat(),
    };
    table.append_slice(&Scope::raw(Path::new("\\_SB_"), [devices, generation_id()].concat()));
    table.append_slice(&events());
    table.append_slice(&power_states());
    bytes(&table)
}

/// The identity of the virtual machine, and where it lies (Microsoft, "Virtual Machine Generation ID").
fn generation_id() -> Vec<u8> {
    const NAME: &str = "VM_Gen_Counter";
    let address = [dword(VM_GENERATION_ID), 0];
    bytes(&Device::new(
        Path::new("VGEN"),
        vec![
            &Name::new(Path::new("_HID"), &"FLOT0001"),
            &Name::new(Path::new("_CID"), &NAME),
            &Name::new(Path::new("_DDN"), &NAME),
            &Name::new(Path::new("_STA"), &STATUS_PRESENT),
            &Name::new(Path::new("ADDR"), &Package::new(vec![&address[0], &address[1]])),
        ],
    ))
}

/// The general purpose events, each an edge.
fn events() -> Vec<u8> {
    let name = format!("_E{:02X}", event::VM_GENERATION);
    let device = Path::new("\\_SB_.VGEN");
    let changed = Notify::new(&device, &DEVICE_CHANGED);
    bytes(&Scope::new(Path::new("\\_GPE"), vec![&Method::new(Path::new(&name), 0, false, vec![&changed])]))
}

/// `_S5`, switched off: the type for the first control block, for the second one, two reserved. A package of two is not enough for every
/// operating system.
fn power_states() -> Vec<u8> {
    let off = &SLEEP_TYPE_OFF;
    bytes(&Name::new(Path::new("\\_S5_"), &Package::new(vec![off, off, &ZERO, &ZERO])))
}

fn host_bridge(window_64: Option<Window>) -> Vec<u8> {
    let buses = AddressSpace::<u16>::new_bus_number(0, LAST_PCI_BUS.into());
    let configuration = IO::new(port::PCI_CONFIG, port::PCI_CONFIG, 1, 8);
    let low_io = AddressSpace::<u16>::new_io(0, port::PCI_CONFIG - 1, None);
    let high_io = AddressSpace::<u16>::new_io(port::PCI_CONFIG + 8, u16::MAX, None);
    let (start, end) = (dword(PCI_WINDOW_32.start), dword(PCI_WINDOW_32.end() - 1));
    let window_32 = AddressSpace::new_memory(AddressSpaceCacheable::NotCacheable, true, start, end, None);
    let window_64 = window_64.map(|window| {
        AddressSpace::new_memory(
            AddressSpaceCacheable::NotCacheable,
            true,
            window.start,
            window.end() - 1,
            None,
        )
    });
    let mut resources: Vec<&dyn Aml> = vec![&buses, &configuration, &low_io, &high_io, &window_32];
    resources.extend(window_64.as_ref().map(|window| window as &dyn Aml));
    let isa = isa_bridge();
    bytes(&Device::new(
        Path::new("PCI0"),
        vec![
            &Name::new(Path::new("_HID"), &EISAName::new("PNP0A08")),
            &Name::new(Path::new("_CID"), &EISAName::new("PNP0A03")),
            &Name::new(Path::new("_SEG"), &ZERO),
            &Name::new(Path::new("_BBN"), &ZERO),
            &Name::new(Path::new("_UID"), &ZERO),
            &Name::new(Path::new("_CRS"), &ResourceTemplate::new(resources)),
            &Raw(specific_method()),
            &Raw(isa),
        ],
    ))
}

/// `_DSM` of the host bridge: keep the placement of BARs that the machine chose.
fn specific_method() -> Vec<u8> {
    let functions = BufferData::new(vec![DSM_FUNCTIONS]);
    let none = BufferData::new(vec![0]);
    bytes(&Method::new(
        Path::new("_DSM"),
        4,
        false,
        vec![
            &If::new(
                &Equal::new(&Arg(0), &Uuid::new(PCI_DSM)),
                vec![
                    &If::new(&Equal::new(&Arg(2), &ZERO), vec![&Return::new(&functions)]),
                    &If::new(&Equal::new(&Arg(2), &DSM_KEEP_RESOURCES), vec![&Return::new(&ZERO)]),
                ],
            ),
            &Return::new(&none),
        ],
    ))
}

fn isa_bridge() -> Vec<u8> {
    let address = Name::new(Path::new("_ADR"), &ISA_BRIDGE);
    bytes(&Device::new(Path::new("ISA_"), vec![&address, &Raw(isa_devices())]))
}

fn isa_devices() -> Vec<u8> {
    let serial = IO::new(port::COM1, port::COM1, 1, 8);
    let (keyboard_data, keyboard_command) =
        (IO::new(port::I8042, port::I8042, 1, 1), IO::new(port::I8042 + 4, port::I8042 + 4, 1, 1));
    let clock = IO::new(port::RTC, port::RTC, 1, 2);
    let panic = IO::new(port::PVPANIC, port::PVPANIC, 1, 1);
    let line = |number| Interrupt::new(true, true, false, false, number);
    let devices = [
        device("COM1", &EISAName::new("PNP0501"), vec![&serial, &line(irq::COM1)]),
        device(
            "KBD_",
            &EISAName::new("PNP0303"),
            vec![&keyboard_data, &keyboard_command, &line(irq::KEYBOARD)],
        ),
        device("RTC_", &EISAName::new("PNP0B00"), vec![&clock, &line(irq::RTC)]),
        device("PEVT", &"QEMU0001", vec![&panic]),
    ];
    devices.concat()
}

/// Devices that operating systems know by `LNRO0005` (Linux, `drivers/virtio/virtio_mmio.c`).
fn virtio_devices(slots: &[MmioSlot]) -> Vec<u8> {
    let device = |(number, slot): (u16, &MmioSlot)| {
        let registers = Memory32Fixed::new(true, dword(slot.address), dword(VIRTIO_MMIO_PAGE));
        let interrupt = Interrupt::new(true, true, false, true, slot.line);
        bytes(&Device::new(
            Path::new(&format!("V{number:03}")),
            vec![
                &Name::new(Path::new("_HID"), &"LNRO0005"),
                &Name::new(Path::new("_UID"), &number),
                &Name::new(Path::new("_STA"), &STATUS_PRESENT),
                &Name::new(Path::new("_CRS"), &ResourceTemplate::new(vec![&registers, &interrupt])),
            ],
        ))
    };
    (0..).zip(slots).flat_map(device).collect()
}

/// Resources that belong to no device: operating systems must not place anything there, and Linux uses the PCI
/// configuration space only if it is listed here.
fn motherboard(pci: bool) -> Vec<u8> {
    let ecam = Memory32Fixed::new(true, dword(ECAM.start), dword(ECAM.len));
    let ioapic = Memory32Fixed::new(true, dword(IOAPIC), 0x1000);
    let lapic = Memory32Fixed::new(true, dword(LAPIC), 0x10_0000);
    let power = IO::new(port::ACPI_PM, port::ACPI_PM, 1, 0x80);
    let command = IO::new(port::SMI_COMMAND, port::SMI_COMMAND, 1, 2);
    let mut resources: Vec<&dyn Aml> = vec![&ioapic, &lapic, &power, &command];
    if pci {
        resources.insert(0, &ecam);
    }
    device("MBRD", &EISAName::new("PNP0C02"), resources)
}

/// A device with an id and resources.
fn device(name: &str, id: &dyn Aml, resources: Vec<&dyn Aml>) -> Vec<u8> {
    bytes(&Device::new(
        Path::new(name),
        vec![
            &Name::new(Path::new("_HID"), id),
            &Name::new(Path::new("_UID"), &ZERO),
            &Name::new(Path::new("_STA"), &STATUS_PRESENT),
            &Name::new(Path::new("_CRS"), &ResourceTemplate::new(resources)),
        ],
    ))
}

/// AML that was built before.
struct Raw(Vec<u8>);

impl Aml for Raw {
    fn to_aml_bytes(&self, sink: &mut dyn acpi_tables::AmlSink) {
        sink.vec(&self.0);
    }
}

/// An address of the layout that lies below 4 GiB.
fn dword(address: u64) -> u32 {
    u32::try_from(address).unwrap_or(u32::MAX)
}
