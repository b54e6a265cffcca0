// SPDX-License-Identifier: Apache-2.0
//! The table of Intel's `MultiProcessor` Specification 1.4: processors and interrupt lines, for a machine without ACPI.
//!
//! A guest finds the floating pointer by a search of 0xF0000 to 0xFFFFF; the configuration table follows it. Names of
//! entries and fields are those of chapter 4.

use crate::acpi::Processor;
use crate::error::BootError;
use crate::layout::{IOAPIC, LAPIC, MP_TABLE, irq};
use crate::piece::Piece;

const POINTER_LEN: u64 = 16;
const HEADER_LEN: usize = 44;
const SPEC_REVISION: u8 = 4;
const OEM_ID: &[u8; 8] = b"FLOTILLA";
const PRODUCT_ID: &[u8; 12] = b"MICRO       ";

const PROCESSOR: u8 = 0;
const BUS: u8 = 1;
const IO_APIC: u8 = 2;
const IO_INTERRUPT: u8 = 3;
const LOCAL_INTERRUPT: u8 = 4;

/// Version of an APIC that is part of its processor: what every processor with KVM has.
const LOCAL_APIC_VERSION: u8 = 0x14;
const IO_APIC_VERSION: u8 = 0x11;
const ENABLED: u8 = 1;
const BOOT_PROCESSOR: u8 = 2;
/// `FPU` and `APIC` of CPUID leaf 1.
const FEATURES: u32 = 1 | 1 << 9;

const ISA_BUS: u8 = 0;
const INT: u8 = 0;
const NMI: u8 = 1;
const EXT_INT: u8 = 3;
/// Polarity and trigger as the ISA bus has them: high, edge.
const AS_THE_BUS: u16 = 0;
const EVERY_LOCAL_APIC: u8 = 0xff;
/// The id of the I/O APIC. No processor has it: ids of processors end below it.
const IO_APIC_ID: u8 = 0xfe;

/// The floating pointer and the table. The first processor boots. NUMA nodes have no place in it.
pub(crate) fn pieces(processors: &[Processor]) -> Result<[Piece; 2], BootError> {
    let id = |processor: &Processor| u8::try_from(processor.apic_id).ok().filter(|id| *id < IO_APIC_ID);
    let reason = "a machine without ACPI has APIC ids below 254 only: give it ACPI or fewer processors";
    let ids: Option<Vec<u8>> = processors.iter().map(id).collect();
    let table = configuration(&ids.ok_or(BootError::Tables { reason })?);
    let address = MP_TABLE.start + POINTER_LEN;
    Ok([
        Piece::Bytes {
            what: "MP floating pointer",
            address: MP_TABLE.start,
            data: floating_pointer(address),
        },
        Piece::Bytes { what: "MP configuration table", address, data: table },
    ])
}

fn floating_pointer(table: u64) -> Vec<u8> {
    let mut pointer = b"_MP_".to_vec();
    pointer.extend(low(table));
    // Length in units of 16 bytes, revision, checksum; no default configuration, no IMCR.
    pointer.extend([1, SPEC_REVISION, 0, 0, 0, 0, 0, 0]);
    with_checksum(pointer, 10)
}

fn configuration(ids: &[u8]) -> Vec<u8> {
    let mut entries = Entries { bytes: Vec::new(), count: 0 };
    for (index, id) in ids.iter().enumerate() {
        let flags = if index == 0 { ENABLED | BOOT_PROCESSOR } else { ENABLED };
        entries
            .add(PROCESSOR, &[&[*id, LOCAL_APIC_VERSION, flags], &[0; 4], &FEATURES.to_le_bytes(), &[0; 8]]);
    }
    entries.add(BUS, &[&[ISA_BUS], b"ISA   "]);
    entries.add(IO_APIC, &[&[IO_APIC_ID, IO_APIC_VERSION, ENABLED], &low(IOAPIC)]);
    for (line, input) in interrupt_inputs() {
        entries.interrupt(IO_INTERRUPT, INT, line, IO_APIC_ID, input);
    }
    entries.interrupt(LOCAL_INTERRUPT, EXT_INT, 0, 0, 0);
    entries.interrupt(LOCAL_INTERRUPT, NMI, 0, EVERY_LOCAL_APIC, 1);

    let len = u16::try_from(HEADER_LEN + entries.bytes.len()).unwrap_or(u16::MAX);
    let mut table = b"PCMP".to_vec();
    table.extend(len.to_le_bytes());
    table.extend([SPEC_REVISION, 0]);
    table.extend(OEM_ID);
    table.extend(PRODUCT_ID);
    // No OEM table.
    table.extend([0; 6]);
    table.extend(entries.count.to_le_bytes());
    table.extend(low(LAPIC));
    // No extended table.
    table.extend([0; 4]);
    table.extend(entries.bytes);
    with_checksum(table, 7)
}

/// Each interrupt line and its input of the I/O APIC. The timer, line 0, is wired to input 2.
fn interrupt_inputs() -> impl Iterator<Item = (u8, u8)> {
    let last = u8::try_from(irq::IOAPIC_INPUTS).unwrap_or(u8::MAX);
    (0..last).filter(|line| *line != 2).map(|line| (line, if line == 0 { 2 } else { line }))
}

struct Entries {
    bytes: Vec<u8>,
    count: u16,
}

impl Entries {
    fn add(&mut self, kind: u8, fields: &[&[u8]]) {
        self.bytes.push(kind);
        self.bytes.extend(fields.concat());
        self.count += 1;
    }

    fn interrupt(&mut self, entry: u8, kind: u8, line: u8, apic: u8, input: u8) {
        let [low, high] = AS_THE_BUS.to_le_bytes();
        self.add(entry, &[&[kind, low, high, ISA_BUS, line, apic, input]]);
    }
}

/// Sets the byte at `place` so that all of them sum up to zero.
fn with_checksum(mut bytes: Vec<u8>, place: usize) -> Vec<u8> {
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(checksum) = bytes.get_mut(place) {
        *checksum = sum.wrapping_neg();
    }
    bytes
}

/// An address below 4 GiB.
fn low(address: u64) -> [u8; 4] {
    u32::try_from(address).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(piece: &Piece) -> &[u8] {
        match piece {
            Piece::Bytes { data, .. } => data,
            _ => panic!("a table is bytes"),
        }
    }

    /// The entries as (type, bytes after it), taken apart as an operating system does.
    fn entries(mut rest: &[u8]) -> Vec<(u8, &[u8])> {
        let mut all = Vec::new();
        while let Some((&kind, after)) = rest.split_first() {
            let (entry, next) = after.split_at(if kind == PROCESSOR { 19 } else { 7 });
            all.push((kind, entry));
            rest = next;
        }
        all
    }

    #[test]
    fn the_pointer_leads_to_a_table_of_the_length_and_count_it_says() {
        for cpus in [1, 3, 64, 254] {
            let [pointer, table] = pieces(&Processor::row(cpus)).unwrap();
            let (pointer, table) = (bytes(&pointer), bytes(&table));
            assert_eq!((&pointer[..4], pointer.len()), (&b"_MP_"[..], 16));
            let sum = |bytes: &[u8]| bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            assert_eq!((sum(pointer), sum(table)), (0, 0));
            assert_eq!(u32::from_le_bytes(pointer[4..8].try_into().unwrap()), 0xf_0010);
            assert_eq!(usize::from(u16::from_le_bytes([table[4], table[5]])), table.len());
            let entries = entries(&table[HEADER_LEN..]);
            assert_eq!(usize::from(u16::from_le_bytes([table[34], table[35]])), entries.len());
            assert_eq!(entries.iter().filter(|(kind, _)| *kind == PROCESSOR).count(), cpus as usize);
            assert!(table.len() as u64 + POINTER_LEN <= MP_TABLE.len);
        }
    }

    #[test]
    fn one_processor_boots_and_the_timer_comes_in_at_input_2() {
        let [_, table] = pieces(&Processor::row(2)).unwrap();
        let table = bytes(&table);
        let entries = entries(&table[HEADER_LEN..]);
        assert_eq!(entries[0].1[..3], [0, LOCAL_APIC_VERSION, ENABLED | BOOT_PROCESSOR]);
        assert_eq!(entries[1].1[..3], [1, LOCAL_APIC_VERSION, ENABLED]);
        let wired: Vec<_> = entries
            .iter()
            .filter(|(kind, _)| *kind == IO_INTERRUPT)
            .map(|(_, entry)| (entry[4], entry[6]))
            .collect();
        assert_eq!((wired[0], wired[1], wired[2], wired.len()), ((0, 2), (1, 1), (3, 3), 23));
    }

    #[test]
    fn refuses_processors_that_it_cannot_name() {
        for processors in [Processor::row(255), vec![Processor { apic_id: 256, node: 0 }]] {
            assert_eq!(pieces(&processors).unwrap_err().code(), "boot.tables");
        }
    }

    #[test]
    fn processors_keep_the_ids_that_their_place_in_the_topology_gives_them() {
        let processors = [0, 1, 2, 4, 5, 6].map(|apic_id| Processor { apic_id, node: 0 });
        let [_, table] = pieces(&processors).unwrap();
        let table = bytes(&table);
        let of_processors = |(kind, entry): (u8, &[u8])| (kind == PROCESSOR).then(|| (entry[0], entry[2]));
        let found: Vec<_> = entries(&table[HEADER_LEN..]).into_iter().filter_map(of_processors).collect();
        assert_eq!(found, [(0, 3), (1, 1), (2, 1), (4, 1), (5, 1), (6, 1)]);
    }
}
