// SPDX-License-Identifier: Apache-2.0
//! MADT: processors and interrupt lines. Numbers of structures and flags: ACPI 6.5 §5.2.12.

use acpi_tables::sdt::Sdt;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, Processor};
use crate::layout::{IOAPIC, LAPIC, irq};

const HEADER_LEN: u32 = 44;
const REVISION: u8 = 4;
/// A dual 8259 is present as well.
const PCAT_COMPAT: u32 = 1;

const LOCAL_APIC: u8 = 0;
const IO_APIC: u8 = 1;
const SOURCE_OVERRIDE: u8 = 2;
const LOCAL_APIC_NMI: u8 = 4;
const LOCAL_X2APIC: u8 = 9;
const LOCAL_X2APIC_NMI: u8 = 10;

const ENABLED: u32 = 1;
/// Polarity and trigger as the ISA bus has them: high, edge.
const BUS_DEFAULT: u16 = 0;
/// Active high, level triggered.
const LEVEL_HIGH: u16 = 1 | 3 << 2;
const ALL_PROCESSORS: u8 = 0xff;
const ALL_X2_PROCESSORS: u32 = u32::MAX;
const LINT1: u8 = 1;

/// The table. A processor's own number is its place in the list. APIC ids from 255 on, and numbers, need the x2APIC forms.
pub(super) fn madt(processors: &[Processor]) -> Sdt {
    let mut table = Sdt::new(*b"APIC", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.write_u32(36, u32::try_from(LAPIC).unwrap_or(0));
    table.write_u32(40, PCAT_COMPAT);
    let mut body = Vec::new();
    let mut large = false;
    for (number, processor) in (0_u32..).zip(processors) {
        match (u8::try_from(number), u8::try_from(processor.apic_id)) {
            (Ok(number), Ok(id)) if number != u8::MAX && id != u8::MAX => {
                add(&mut body, LOCAL_APIC, &[&[number, id], &ENABLED.to_le_bytes()]);
            }
            _ => {
                let (number, id) = (number.to_le_bytes(), processor.apic_id.to_le_bytes());
                add(&mut body, LOCAL_X2APIC, &[&[0, 0], &id, &ENABLED.to_le_bytes(), &number]);
                large = true;
            }
        }
    }
    let ioapic = u32::try_from(IOAPIC).unwrap_or(0).to_le_bytes();
    add(&mut body, IO_APIC, &[&[0, 0], &ioapic, &0_u32.to_le_bytes()]);
    add_override(&mut body, 0, 2, BUS_DEFAULT);
    add_override(&mut body, 9, irq::SCI, LEVEL_HIGH);
    add(&mut body, LOCAL_APIC_NMI, &[&[ALL_PROCESSORS], &BUS_DEFAULT.to_le_bytes(), &[LINT1]]);
    if large {
        let all = ALL_X2_PROCESSORS.to_le_bytes();
        add(&mut body, LOCAL_X2APIC_NMI, &[&BUS_DEFAULT.to_le_bytes(), &all, &[LINT1, 0, 0, 0]]);
    }
    table.append_slice(&body);
    table
}

/// Where an ISA interrupt differs from "same number, edge, high".
fn add_override(table: &mut Vec<u8>, source: u8, gsi: u32, flags: u16) {
    const ISA: u8 = 0;
    add(table, SOURCE_OVERRIDE, &[&[ISA, source], &gsi.to_le_bytes(), &flags.to_le_bytes()]);
}

fn add(table: &mut Vec<u8>, kind: u8, fields: &[&[u8]]) {
    let body = fields.concat();
    let len = u8::try_from(body.len() + 2).unwrap_or(u8::MAX);
    table.extend([kind, len]);
    table.extend(body);
}
