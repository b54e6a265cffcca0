// SPDX-License-Identifier: Apache-2.0
//! WDAT: how a guest works the watchdog, as instructions on its registers (Microsoft, "Hardware Watchdog Timers Design
//! Specification"). So no operating system needs a driver of ours.

use acpi_tables::gas::{AccessSize, AddressSpace, GAS};
use acpi_tables::sdt::Sdt;

use super::{OEM_ID, OEM_REVISION, OEM_TABLE_ID, bytes};
use crate::layout::port;

const HEADER_LEN: u32 = 36;
const REVISION: u8 = 1;
/// Bytes of the part between the header and the instructions.
const WATCHDOG_HEADER_LEN: u32 = 32;
/// In each of segment, bus, device and function: the watchdog is no PCI function.
const NO_PCI: u8 = 0xff;
/// The watchdog can be used.
const ENABLED: u8 = 1;

/// Milliseconds of one count.
pub const WATCHDOG_PERIOD: u32 = 100;
/// The longest countdown: an hour.
pub const WATCHDOG_MAX_COUNT: u32 = 36_000;
/// The shortest countdown.
pub const WATCHDOG_MIN_COUNT: u32 = 1;

/// Registers, by their distance from the first port.
const RELOAD: u16 = 0x0;
const CONTROL: u16 = 0x1;
const ACTION: u16 = 0x2;
const STATUS: u16 = 0x3;
const COUNT: u16 = 0x4;
const LEFT: u16 = 0x8;

/// Instructions.
const READ_VALUE: u8 = 0;
const READ_COUNTDOWN: u8 = 1;
const WRITE_VALUE: u8 = 2;
const WRITE_COUNTDOWN: u8 = 3;

/// An action, what is done for it, to which register, and with what value.
type Instruction = (u8, u8, u16, u32);

const INSTRUCTIONS: [Instruction; 14] = [
    (1, WRITE_VALUE, RELOAD, 1),    // RESET
    (4, READ_COUNTDOWN, LEFT, 0),   // QUERY_CURRENT_COUNTDOWN_PERIOD
    (5, READ_COUNTDOWN, COUNT, 0),  // QUERY_COUNTDOWN_PERIOD
    (6, WRITE_COUNTDOWN, COUNT, 0), // SET_COUNTDOWN_PERIOD
    (8, READ_VALUE, CONTROL, 1),    // QUERY_RUNNING_STATE
    (9, WRITE_VALUE, CONTROL, 1),   // SET_RUNNING_STATE
    (10, READ_VALUE, CONTROL, 0),   // QUERY_STOPPED_STATE
    (11, WRITE_VALUE, CONTROL, 0),  // SET_STOPPED_STATE
    (0x10, READ_VALUE, ACTION, 0),  // QUERY_REBOOT
    (0x11, WRITE_VALUE, ACTION, 0), // SET_REBOOT
    (0x12, READ_VALUE, ACTION, 1),  // QUERY_SHUTDOWN
    (0x13, WRITE_VALUE, ACTION, 1), // SET_SHUTDOWN
    (0x20, READ_VALUE, STATUS, 1),  // QUERY_WATCHDOG_STATUS
    (0x21, WRITE_VALUE, STATUS, 1), // SET_WATCHDOG_STATUS
];

/// The table.
pub(super) fn wdat() -> Sdt {
    let mut table = Sdt::new(*b"WDAT", HEADER_LEN, REVISION, OEM_ID, OEM_TABLE_ID, OEM_REVISION);
    table.append_slice(&WATCHDOG_HEADER_LEN.to_le_bytes());
    table.append_slice(&u16::from(NO_PCI).to_le_bytes());
    table.append_slice(&[NO_PCI, NO_PCI, NO_PCI, 0, 0, 0]);
    for number in [WATCHDOG_PERIOD, WATCHDOG_MAX_COUNT, WATCHDOG_MIN_COUNT, u32::from(ENABLED)] {
        table.append_slice(&number.to_le_bytes());
    }
    table.append_slice(&u32::try_from(INSTRUCTIONS.len()).unwrap_or(0).to_le_bytes());
    for instruction in INSTRUCTIONS {
        table.append_slice(&entry(instruction));
    }
    table
}

fn entry((action, instruction, register, value): Instruction) -> Vec<u8> {
    let (bits, access, mask) = match register {
        COUNT | LEFT => (32, AccessSize::DwordAccess, u32::MAX),
        _ => (8, AccessSize::ByteAccess, 0xff),
    };
    let place = GAS::new(AddressSpace::SystemIo, bits, 0, access, u64::from(port::WATCHDOG + register));
    let mut entry = vec![action, instruction, 0, 0];
    entry.extend(bytes(&place));
    entry.extend(value.to_le_bytes());
    entry.extend(mask.to_le_bytes());
    entry
}
