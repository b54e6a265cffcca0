// SPDX-License-Identifier: Apache-2.0
//! Guests that start the other CPUs (Intel SDM vol. 3, "MP initialization protocol").

use crate::assembler::{Assembler, Register};
use crate::basics::{power_off, print};

const LAPIC_COMMAND_LOW: u32 = 0xfee0_0300;
const ALL_BUT_SELF: u32 = 3 << 18;
const INIT: u32 = 0x0000_4500;
const START_AT_PAGE_8: u32 = 0x0000_4608;
const TRAMPOLINE: u32 = 0x8000;
/// The byte that the other CPU sets, in the trampoline's own page so that real mode reaches it.
const FLAG: u32 = TRAMPOLINE + 0x80;
/// `mov byte cs:[0x80], 1; cli; hlt; jmp to cli` in 16-bit code.
const TRAMPOLINE_CODE: [u8; 12] = [0x2e, 0xc6, 0x06, 0x80, 0x00, 0x01, 0xfa, 0xf4, 0xeb, 0xfc, 0x90, 0x90];

/// How many of the other CPUs came, as a 32-bit number in guest memory. Guest `counters`.
pub const CENSUS: u32 = TRAMPOLINE + 0x80;
/// How far each CPU has counted: a 32-bit number for each local APIC identifier, one after the other. Guest `counters`.
pub const COUNTERS: u32 = TRAMPOLINE + 0x100;
/// For how many CPUs there is a counter.
pub const MOST_CPUS: u32 = 64;
/// Real mode at page 8. Counts this CPU in the census, takes the counter of its APIC (CPUID leaf 1, EBX bits 24 to 31)
/// and counts there for ever.
const COUNT_FOR_EVER: [u8; 35] = [
    0xf0, 0x2e, 0x66, 0xff, 0x06, 0x80, 0x00, // lock inc dword cs:[0x80]
    0x66, 0xb8, 0x01, 0x00, 0x00, 0x00, // mov eax, 1
    0x0f, 0xa2, // cpuid
    0x66, 0xc1, 0xeb, 0x18, // shr ebx, 24
    0x66, 0xc1, 0xe3, 0x02, // shl ebx, 2
    0x2e, 0x66, 0xff, 0x87, 0x00, 0x01, // again: inc dword cs:[bx + 0x100]
    0xeb, 0xf8, // jmp again
    0xfa, 0xf4, 0xeb, 0xfc, // not reached: cli; hlt
];

/// A guest whose every CPU counts for ever, without exits.
pub fn counters(a: &mut Assembler) {
    a.store(CENSUS, 0);
    for cpu in 0..MOST_CPUS {
        a.store(COUNTERS + 4 * cpu, 0);
    }
    start_others(a, &COUNT_FOR_EVER);
    print(a, "ready\n");
    a.load(Register::Edi, COUNTERS);
    let again = a.here();
    a.bytes(&[0xff, 0x07]); // inc dword [edi]
    a.jump(again);
}

pub fn build(a: &mut Assembler) {
    print(a, "one\n");
    a.store(FLAG, 0);
    start_others(a, &TRAMPOLINE_CODE);
    let wait = a.here();
    a.fetch(FLAG);
    a.test(1);
    a.jump_if_zero(wait);
    print(a, "two\n");
    power_off(a);
}

/// Lets all other CPUs run `code`, in real mode at page 8.
pub fn start_others(a: &mut Assembler, code: &[u8]) {
    for (address, word) in (TRAMPOLINE..).step_by(4).zip(code.chunks(4)) {
        let mut bytes = [0; 4];
        bytes[..word.len()].copy_from_slice(word);
        a.store(address, u32::from_le_bytes(bytes));
    }
    a.store(LAPIC_COMMAND_LOW, ALL_BUT_SELF | INIT);
    pause(a);
    a.store(LAPIC_COMMAND_LOW, ALL_BUT_SELF | START_AT_PAGE_8);
}

/// Real-mode code that writes these values to these ports for ever.
pub fn real_mode_writes(writes: &[(u16, u32)]) -> Vec<u8> {
    let mut code = Vec::new();
    for (port, value) in writes {
        code.extend([0x66, 0xb8]); // mov eax, value
        code.extend(value.to_le_bytes());
        code.push(0xba); // mov dx, port
        code.extend(port.to_le_bytes());
        code.extend([0x66, 0xef]); // out dx, eax
    }
    let back = u16::try_from(code.len() + 3).expect("a page of code").wrapping_neg();
    code.push(0xe9); // jmp to the start
    code.extend(back.to_le_bytes());
    code
}

/// A short delay, the time INIT takes on real hardware being of no interest here.
fn pause(a: &mut Assembler) {
    a.load(Register::Ecx, 1000);
    let again = a.here();
    a.bytes(&[0x83, 0xe9, 0x01]); // sub ecx, 1
    a.jump_unless_zero(again);
}
