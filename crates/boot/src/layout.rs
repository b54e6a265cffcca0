// SPDX-License-Identifier: Apache-2.0
//! The address map, one for both profiles. It is guest ABI: a saved machine relies on it.
//!
//! ```text
//!   0           RAM (boot structures below 1 MiB)
//!   0xb000_0000 ECAM, 256 MiB: PCI configuration space of buses 0 to 255
//!   0xc000_0000 32-bit PCI window; from 0xd000_0000 on, in a machine without PCI, a page for each virtio device
//!   0xfec0_0000 I/O APIC      0xfee0_0000 local APIC      0xfeff_c000 pages KVM needs for itself
//!   4 GiB       the rest of RAM
//!   above it    files as memory, each at a multiple of 128 MiB; where they do not fit, above the PCI window
//!   256 GiB     64-bit PCI window, lower or higher where addresses or RAM want it
//! ```

use flotilla_memory::GuestAddress;

/// An address range: first address and length in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// First address.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

impl Window {
    /// The first address after the range.
    pub const fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

const GIB: u64 = 1 << 30;

/// RAM below 4 GiB may reach up to here when all of it fits.
pub const LOW_RAM_LIMIT: u64 = 0xb000_0000;
/// RAM below 4 GiB ends here when not all of it fits below [`LOW_RAM_LIMIT`].
pub const LOW_RAM_SPLIT: u64 = 2 * GIB;
/// Where RAM continues.
pub const HIGH_RAM_START: u64 = 4 * GIB;
/// First address of extended memory.
pub const HIMEM_START: u64 = 0x10_0000;

/// PCI configuration space of segment 0, buses 0 to 255 (ECAM).
pub const ECAM: Window = Window { start: 0xb000_0000, len: 256 << 20 };
/// The last PCI bus that firmware tables announce. Nothing bridges to another bus yet, and Linux asks every slot of every
/// announced bus one by one: 256 buses cost 16,000 exits at each boot.
pub const LAST_PCI_BUS: u8 = 0;
/// Where 32-bit BARs are placed.
pub const PCI_WINDOW_32: Window = Window { start: 0xc000_0000, len: 0xfec0_0000 - 0xc000_0000 };
/// Registers of virtio-mmio devices, a page each, in a machine that has no PCI.
pub const VIRTIO_MMIO: Window = Window { start: 0xd000_0000, len: VIRTIO_MMIO_DEVICES * VIRTIO_MMIO_PAGE };
/// The most virtio-mmio devices of a machine.
const VIRTIO_MMIO_DEVICES: u64 = 64;
/// Bytes of the registers of one virtio-mmio device.
pub const VIRTIO_MMIO_PAGE: u64 = 0x1000;
/// Length of the 64-bit PCI window.
pub const PCI_WINDOW_64_LEN: u64 = 64 * GIB;
/// I/O ports for I/O BARs.
pub const PCI_IO_WINDOW: Window = Window { start: 0x1000, len: 0xf000 };

/// The I/O APIC's registers.
pub const IOAPIC: u64 = 0xfec0_0000;
/// The local APICs' registers.
pub const LAPIC: u64 = 0xfee0_0000;
/// Page with the identity map that KVM uses for real mode on old Intel processors.
pub const KVM_IDENTITY_MAP: u64 = 0xfeff_c000;
/// Three pages that KVM uses for a task state segment on old Intel processors.
pub const KVM_TSS: u64 = 0xfeff_d000;

/// The boot processor's descriptor table.
pub const GDT: u64 = 0x500;
/// An empty interrupt descriptor table.
pub const IDT: u64 = 0x540;
/// PVH start information.
pub const PVH_START_INFO: u64 = 0x6000;
/// PVH module list.
pub const PVH_MODULES: u64 = 0x6040;
/// PVH memory map; up to the zero page.
pub const PVH_MEMORY_MAP: u64 = 0x6080;
/// `struct boot_params` of the Linux boot protocol, 4 KiB.
pub const ZERO_PAGE: u64 = 0x7000;
/// The boot stack grows down from here.
pub const BOOT_STACK: u64 = 0x8ff0;
/// First page table; one page each for PML4, PDPT and four PDs.
pub const PAGE_TABLES: u64 = 0x9000;
/// The kernel command line with its terminator.
pub const COMMAND_LINE: Window = Window { start: 0x2_0000, len: 64 << 10 };
/// End of conventional memory, start of the extended BIOS data area.
pub const EBDA: u64 = 0x9_fc00;
/// A page for the identity of the virtual machine, of which ACPI tells.
pub const VM_GENERATION: Window = Window { start: 0xd_f000, len: 0x1000 };
/// The identity itself: apart from where guests look for signatures of expansion ROMs.
pub const VM_GENERATION_ID: u64 = VM_GENERATION.start + 40;
/// Where the ACPI tables lie; the root pointer comes first, so that a scan finds it.
pub const ACPI: Window = Window { start: 0xe_0000, len: 0x2_0000 };

/// Where the MP table lies in a machine that has no ACPI tables: in the part of [`ACPI`] that guests search for it.
pub const MP_TABLE: Window = Window { start: 0xf_0000, len: 0x1_0000 };

/// I/O ports of the fixed devices.
pub mod port {
    /// First serial port.
    pub const COM1: u16 = 0x3f8;
    /// Keyboard controller: data; command and status are at +4.
    pub const I8042: u16 = 0x60;
    /// Real-time clock: index; data is at +1.
    pub const RTC: u16 = 0x70;
    /// PCI configuration address; data is at +4.
    pub const PCI_CONFIG: u16 = 0xcf8;
    /// Reset control register.
    pub const RESET: u16 = 0xcf9;
    /// ACPI power management block.
    pub const ACPI_PM: u16 = 0x600;
    /// Length in bytes of the ACPI power management block.
    pub const ACPI_PM_LEN: u16 = 0x80;
    /// SMI command: ACPI is switched on and off here.
    pub const SMI_COMMAND: u16 = 0xb2;
    /// Panic notification device.
    pub const PVPANIC: u16 = 0x505;
    /// Watchdog.
    pub const WATCHDOG: u16 = 0x680;
}

/// General purpose events of ACPI (GPE0).
pub mod event {
    /// The machine goes on from a snapshot: its identity is a new one.
    pub const VM_GENERATION: u8 = 0;
}

/// Interrupt lines of the fixed devices.
pub mod irq {
    /// Keyboard.
    pub const KEYBOARD: u32 = 1;
    /// First serial port.
    pub const COM1: u32 = 4;
    /// Real-time clock.
    pub const RTC: u32 = 8;
    /// System control interrupt of ACPI.
    pub const SCI: u32 = 9;
    /// Interrupt inputs of the I/O APIC.
    pub const IOAPIC_INPUTS: u32 = 24;
    /// Lines for virtio-mmio devices: those that no device of a PC is used to have. A line with several devices is shared.
    pub const VIRTIO_MMIO: [u32; 15] = [5, 6, 7, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23];
}

/// Registers and interrupt of a virtio-mmio device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MmioSlot {
    /// First address of its page.
    pub address: u64,
    /// Its interrupt line; the rising edge counts.
    pub line: u32,
}

/// The places of `count` virtio-mmio devices, or `None` when there are not so many.
pub fn mmio_slots(count: usize) -> Option<Vec<MmioSlot>> {
    let place = |index: u64| VIRTIO_MMIO.start + index * VIRTIO_MMIO_PAGE;
    let slots = (0..VIRTIO_MMIO_DEVICES).map(place).zip(irq::VIRTIO_MMIO.into_iter().cycle());
    let slots: Vec<_> = slots.take(count).map(|(address, line)| MmioSlot { address, line }).collect();
    (slots.len() == count).then_some(slots)
}

/// Splits `size` bytes of RAM into (first guest address, length), as this machine places it.
/// `size` is a positive multiple of 4096.
pub fn ram_regions(size: u64) -> Vec<(GuestAddress, u64)> {
    if size < LOW_RAM_LIMIT {
        return vec![(GuestAddress(0), size)];
    }
    vec![(GuestAddress(0), LOW_RAM_SPLIT), (GuestAddress(HIGH_RAM_START), size - LOW_RAM_SPLIT)]
}

/// Shares the RAM of a machine with `size` bytes out among nodes with so many bytes each, in ascending order of addresses. A
/// node whose memory lies on both sides of the hole below 4 GiB has two ranges.
pub fn share_ram(size: u64, nodes: &[u64]) -> Vec<Vec<Window>> {
    let mut regions = ram_regions(size).into_iter();
    let mut rest = Window { start: 0, len: 0 };
    let mut shares = Vec::with_capacity(nodes.len());
    for &node in nodes {
        let (mut ranges, mut missing) = (Vec::new(), node);
        while missing > 0 {
            if rest.len == 0 {
                let Some((start, len)) = regions.next() else { break };
                rest = Window { start: start.0, len };
            }
            let len = missing.min(rest.len);
            ranges.push(Window { start: rest.start, len });
            rest = Window { start: rest.start.saturating_add(len), len: rest.len - len };
            missing -= len;
        }
        shares.push(ranges);
    }
    shares
}

/// The first guest address after all RAM of a machine with `size` bytes.
pub fn ram_end(size: u64) -> u64 {
    ram_regions(size).last().map_or(0, |&(start, len)| start.0.saturating_add(len))
}

/// The 64-bit PCI window of a machine with `size` bytes of RAM, or `None` when the guest's physical address width
/// (in bits) leaves no room for it.
pub fn pci_window_64(size: u64, physical_bits: u8) -> Option<Window> {
    let limit = 1_u64.checked_shl(u32::from(physical_bits)).unwrap_or(u64::MAX);
    let at = |lowest: u64| {
        let start = lowest.checked_next_multiple_of(PCI_WINDOW_64_LEN)?;
        let end = start.checked_add(PCI_WINDOW_64_LEN)?;
        (end <= limit).then_some(Window { start, len: PCI_WINDOW_64_LEN })
    };
    let end = ram_end(size).max(HIGH_RAM_START);
    at(end.max(256 * GIB)).or_else(|| at(end))
}

/// Where files lie that a guest reaches as memory: what RAM and the 64-bit PCI window leave of its addresses.
#[derive(Debug)]
pub struct FileSpace {
    free: [Window; 2],
}

impl FileSpace {
    /// At multiples of this each has a section of Linux's memory model for itself, which it shares with no RAM.
    const ALIGNMENT: u64 = 128 << 20;

    /// That of a machine with `size` bytes of RAM.
    pub fn new(size: u64, physical_bits: u8) -> Self {
        let limit = 1_u64.checked_shl(u32::from(physical_bits)).unwrap_or(u64::MAX);
        let start = ram_end(size).max(HIGH_RAM_START);
        let window = pci_window_64(size, physical_bits).unwrap_or(Window { start: limit, len: 0 });
        let between = |start: u64, end: u64| Window { start, len: end.saturating_sub(start) };
        Self { free: [between(start, window.start), between(window.end(), limit)] }
    }

    /// Takes the next `len` bytes; `None` when there are not so many together.
    pub fn take(&mut self, len: u64) -> Option<Window> {
        self.free.iter_mut().find_map(|free| {
            let start = free.start.checked_next_multiple_of(Self::ALIGNMENT)?;
            let end = start.checked_add(len)?;
            if end > free.end() {
                return None;
            }
            *free = Window { start: end, len: free.end() - end };
            Some(Window { start, len })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_small_ram_in_one_piece() {
        assert_eq!(ram_regions(128 << 20), [(GuestAddress(0), 128 << 20)]);
        assert_eq!(ram_regions(0xafff_f000), [(GuestAddress(0), 0xafff_f000)]);
    }

    #[test]
    fn moves_what_does_not_fit_above_4_gib() {
        assert_eq!(
            ram_regions(0xb000_0000),
            [(GuestAddress(0), 2 << 30), (GuestAddress(4 << 30), 0x3000_0000)]
        );
    }

    #[test]
    fn places_the_64_bit_window_where_the_guest_can_address_it() {
        assert_eq!(pci_window_64(1 << 30, 48).unwrap().start, 256 << 30);
        assert_eq!(pci_window_64(300 << 30, 48).unwrap().start, 320 << 30);
        assert_eq!(pci_window_64(1 << 30, 38).unwrap().start, 64 << 30);
        assert_eq!(pci_window_64(1 << 30, 36), None);
    }

    #[test]
    fn files_lie_between_ram_and_the_pci_window_and_then_above_it() {
        let (gib, mib) = (1 << 30, 1 << 20);
        let mut space = FileSpace::new(5 * gib + 4096, 48);
        let places = [2 * mib, 6 * mib, 200 * gib, 100 * gib].map(|len| space.take(len).unwrap().start);
        assert_eq!(places, [7 * gib + 128 * mib, 7 * gib + 256 * mib, 7 * gib + 384 * mib, 320 * gib]);
        assert_eq!(space.take(1 << 48), None);
        // Small RAM leaves the hole below 4 GiB alone.
        assert_eq!(FileSpace::new(128 * mib, 48).take(gib).unwrap().start, 4 * gib);
        // Few addresses: no PCI window, and an end.
        let mut small = FileSpace::new(128 * mib, 36);
        assert_eq!((small.take(60 * gib).unwrap().end(), small.take(mib)), (64 * gib, None));
        let mut narrow = FileSpace::new(128 * mib, 38);
        assert_eq!(
            (narrow.take(60 * gib).unwrap().end(), narrow.take(mib).unwrap().start),
            (64 * gib, 128 * gib)
        );
    }

    #[test]
    fn virtio_mmio_devices_have_pages_of_their_own_and_share_lines_when_there_are_many() {
        let slots = mmio_slots(64).unwrap();
        assert_eq!((slots[0].address, slots[0].line), (0xd000_0000, 5));
        assert_eq!((slots[15].address, slots[15].line), (0xd000_f000, 5));
        assert!(slots.windows(2).all(|pair| pair[1].address - pair[0].address == VIRTIO_MMIO_PAGE));
        assert!(
            slots.iter().all(|slot| !matches!(slot.line, irq::COM1 | irq::RTC | irq::SCI | irq::KEYBOARD))
        );
        assert_eq!(mmio_slots(65), None);
    }

    #[test]
    fn nodes_share_the_ram_in_order_and_around_the_hole() {
        let gib = |start: u64, len: u64| Window { start: start << 30, len: len << 30 };
        assert_eq!(share_ram(2 << 30, &[1 << 30, 1 << 30]), [[gib(0, 1)], [gib(1, 1)]]);
        let shares = share_ram(6 << 30, &[1 << 30, 3 << 30, 2 << 30]);
        assert_eq!(shares, [vec![gib(0, 1)], vec![gib(1, 1), gib(4, 2)], vec![gib(6, 2)]]);
        let all = share_ram(300 << 30, &[100 << 30; 3]);
        let sum: u64 = all.iter().flatten().map(|range| range.len).sum();
        assert_eq!((sum, all[2].last().unwrap().end()), (300 << 30, ram_end(300 << 30)));
        // What does not fit is left out.
        assert_eq!(share_ram(1 << 30, &[1 << 30, 5]), [vec![gib(0, 1)], vec![]]);
    }

    #[test]
    fn windows_do_not_overlap() {
        let low = [COMMAND_LINE, Window { start: EBDA, len: 1024 }, VM_GENERATION, ACPI, ECAM, PCI_WINDOW_32];
        assert!(low.windows(2).all(|pair| pair[0].end() <= pair[1].start));
        assert_eq!((LOW_RAM_LIMIT, PCI_WINDOW_32.end()), (ECAM.start, IOAPIC));
        assert!(VIRTIO_MMIO.start >= PCI_WINDOW_32.start && VIRTIO_MMIO.end() <= PCI_WINDOW_32.end());
        assert!(VM_GENERATION_ID.is_multiple_of(8) && VM_GENERATION_ID + 16 <= VM_GENERATION.end());
        assert!(MP_TABLE.start >= ACPI.start && MP_TABLE.end() <= ACPI.end());
    }
}
