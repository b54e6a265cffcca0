// SPDX-License-Identifier: Apache-2.0
//! A guest that carries out a list of accesses, written by the test itself: every port, every address below 4 GiB, every
//! width, in any order. It prints `done` after the last one and powers off.
//!
//! The list is data behind a small loop, so a script may have many thousands of steps.

use crate::assembler::{Assembler, Register};
use crate::basics::{power_off, print};
use crate::{elf, smp};

const IN_STRING_TARGET: u32 = 0x20_0000;
const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;

/// Bytes of an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// One byte.
    Byte,
    /// Two bytes.
    Word,
    /// Four bytes.
    Dword,
}

impl Width {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Byte, Self::Word, Self::Dword];
}

const END: u32 = 0;
const OUT: u32 = 1;
const IN: u32 = 4;
const STORE: u32 = 7;
const LOAD: u32 = 10;
const OUT_STRING: u32 = 13;
const IN_STRING: u32 = 14;
const PRINT: u32 = 15;
const WAIT: u32 = 16;

/// Instruction of each step but the string ones: value in EAX, port in EDX, address in EDI.
const SINGLE: [&[u8]; 12] = [
    &[0xee],             // out dx, al
    &[0x66, 0xef],       // out dx, ax
    &[0xef],             // out dx, eax
    &[0xec],             // in al, dx
    &[0x66, 0xed],       // in ax, dx
    &[0xed],             // in eax, dx
    &[0x88, 0x07],       // mov [edi], al
    &[0x66, 0x89, 0x07], // mov [edi], ax
    &[0x89, 0x07],       // mov [edi], eax
    &[0x8a, 0x07],       // mov al, [edi]
    &[0x66, 0x8b, 0x07], // mov ax, [edi]
    &[0x8b, 0x07],       // mov eax, [edi]
];

/// A list of accesses.
#[derive(Debug, Clone, Default)]
pub struct Script {
    steps: Vec<[u32; 3]>,
    /// What the other CPUs write to ports all the while.
    others: Vec<(u16, u32)>,
}

impl Script {
    /// Writes to a port.
    pub fn out(&mut self, port: u16, width: Width, value: u32) {
        self.steps.push([OUT + width as u32, u32::from(port), value]);
    }

    /// Reads a port.
    pub fn input(&mut self, port: u16, width: Width) {
        self.steps.push([IN + width as u32, u32::from(port), 0]);
    }

    /// Writes to memory or a device in it. The address need not be aligned.
    pub fn store(&mut self, address: u32, width: Width, value: u32) {
        self.steps.push([STORE + width as u32, address, value]);
    }

    /// Reads memory or a device in it.
    pub fn load(&mut self, address: u32, width: Width) {
        self.steps.push([LOAD + width as u32, address, 0]);
    }

    /// Writes `count` bytes, the guest's own code first, to a port by one instruction.
    pub fn out_string(&mut self, port: u16, count: u32) {
        self.steps.push([OUT_STRING, u32::from(port), count]);
    }

    /// Reads `count` bytes from a port by one instruction, into memory that nothing else uses.
    pub fn in_string(&mut self, port: u16, count: u32) {
        self.steps.push([IN_STRING, u32::from(port), count]);
    }

    /// Waits until the two bytes at an address are the lower half of `value`.
    pub fn wait(&mut self, address: u32, value: u32) {
        self.steps.push([WAIT, address, value]);
    }

    /// Prints a dot, to show how far it got.
    pub fn mark(&mut self) {
        self.steps.push([PRINT, 0, 0]);
    }

    /// Writes to PCI configuration space through the ports.
    pub fn config_write(&mut self, device: u8, register: u8, width: Width, value: u32) {
        self.config_address(device, register);
        self.out(CONFIG_DATA + u16::from(register & 3), width, value);
    }

    /// Reads PCI configuration space through the ports.
    pub fn config_read(&mut self, device: u8, register: u8, width: Width) {
        self.config_address(device, register);
        self.input(CONFIG_DATA + u16::from(register & 3), width);
    }

    fn config_address(&mut self, device: u8, register: u8) {
        self.out(CONFIG_ADDRESS, Width::Dword, config_address(device, register));
    }

    /// Meanwhile the other CPUs, if there are any, write values to registers of PCI configuration space, dwords, for
    /// ever; at most 90 of them.
    pub fn others_write_config(&mut self, writes: &[(u8, u8, u32)]) {
        for (device, register, value) in writes {
            self.others.push((CONFIG_ADDRESS, config_address(*device, *register)));
            self.others.push((CONFIG_DATA, *value));
        }
    }

    /// Appends another script.
    pub fn append(&mut self, other: &Self) {
        self.steps.extend_from_slice(&other.steps);
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether it does nothing.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The ELF file.
    pub fn image(&self) -> Vec<u8> {
        let mut a = Assembler::default();
        self.assemble(&mut a);
        elf::wrap(&a.finish())
    }

    /// The whole guest.
    pub(crate) fn assemble(&self, a: &mut Assembler) {
        let end = [END, 0, 0];
        let table: Vec<u8> =
            self.steps.iter().chain([&end]).flatten().flat_map(|word| word.to_le_bytes()).collect();
        if !self.others.is_empty() {
            smp::start_others(a, &smp::real_mode_writes(&self.others));
        }
        let table = a.data(&table);
        a.load_address(Register::Ebx, table);
        let next = a.here();
        let over = a.label();
        // mov ecx, [ebx]; mov edx, [ebx + 4]; mov edi, edx; mov eax, [ebx + 8]; add ebx, 12; test ecx, ecx
        a.bytes(&[0x8b, 0x0b, 0x8b, 0x53, 0x04, 0x89, 0xd7, 0x8b, 0x43, 0x08, 0x83, 0xc3, 0x0c, 0x85, 0xc9]);
        a.jump_if_zero(over);
        for (kind, instruction) in (OUT..).zip(SINGLE) {
            on_kind(a, kind, |a| a.bytes(instruction));
        }
        on_kind(a, OUT_STRING, |a| {
            a.load(Register::Esi, elf::LOAD_ADDRESS);
            a.bytes(&[0x89, 0xc1, 0xfc, 0xf3, 0x6e]); // mov ecx, eax; cld; rep outsb
        });
        on_kind(a, IN_STRING, |a| {
            a.load(Register::Edi, IN_STRING_TARGET);
            a.bytes(&[0x89, 0xc1, 0xfc, 0xf3, 0x6c]); // mov ecx, eax; cld; rep insb
        });
        on_kind(a, PRINT, |a| print(a, "."));
        // again: cmp ax, [edi]; jne again
        on_kind(a, WAIT, |a| a.bytes(&[0x66, 0x3b, 0x07, 0x75, 0xfb]));
        a.jump(next);
        a.bind(over);
        // The serial port as at power-on, so that the text comes out.
        for (port, value) in [(0x3fb, 3), (0x3f9, 0), (0x3fc, 0)] {
            a.out_byte(port, value);
        }
        print(a, "done\n");
        power_off(a);
    }
}

fn config_address(device: u8, register: u8) -> u32 {
    1 << 31 | u32::from(device & 31) << 11 | u32::from(register & 0xfc)
}

/// What to do when ECX holds `kind`. It goes on with the comparisons behind it, so it must leave ECX at a kind that
/// comes earlier or at none.
fn on_kind(a: &mut Assembler, kind: u32, action: impl FnOnce(&mut Assembler)) {
    let other = a.label();
    a.bytes(&[0x83, 0xf9, kind.to_le_bytes()[0]]); // cmp ecx, kind
    a.jump_unless_zero(other);
    action(a);
    a.load(Register::Ecx, END);
    a.bind(other);
}
