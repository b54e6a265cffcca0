// SPDX-License-Identifier: Apache-2.0
//! What most guests do: print a text and switch off.

use crate::assembler::{Assembler, Register};

pub const COM1: u16 = 0x3f8;
pub const LINE_STATUS: u16 = COM1 + 5;
const TRANSMITTER_EMPTY: u32 = 0x20;
const PM1_CONTROL: u16 = 0x604;
/// `SLP_EN` with the sleep type that the DSDT gives for S5.
const ENTER_S5: u16 = 1 << 13 | 5 << 10;

/// Prints a text over the first serial port. Changes EAX, EDX and ESI.
pub fn print(a: &mut Assembler, text: &str) {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    let string = a.data(&bytes);
    let end = a.label();
    a.load_address(Register::Esi, string);
    let next = a.here();
    let wait = a.here();
    a.in_byte(LINE_STATUS);
    a.test(TRANSMITTER_EMPTY);
    a.jump_if_zero(wait);
    a.bytes(&[0x8a, 0x06, 0x84, 0xc0]); // mov al, [esi]; test al, al
    a.jump_if_zero(end);
    a.load(Register::Edx, u32::from(COM1));
    a.bytes(&[0xee, 0x83, 0xc6, 0x01]); // out dx, al; add esi, 1
    a.jump(next);
    a.bind(end);
}

/// Switches the machine off by ACPI.
pub fn power_off(a: &mut Assembler) {
    a.out_word(PM1_CONTROL, ENTER_S5);
    a.halt();
}
